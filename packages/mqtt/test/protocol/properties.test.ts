import { isUtf8 } from 'node:buffer';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Packet, PacketType, type PublishPacket, type QoS } from '../../src/codec/packet.ts';
import { AckOrder, type InboundAck } from '../../src/protocol/ack-order.ts';
import { ConnectionState } from '../../src/protocol/connection-state.ts';
import { PublishedMessage } from '../../src/protocol/deliverable-message.ts';
import { type ConnectionEffects, DEFAULT_PROTOCOL_LIMITS, type OpenedSession } from '../../src/protocol/effects.ts';
import { Qos2Dedup } from '../../src/protocol/qos2-dedup.ts';
import { SessionState } from '../../src/protocol/session-state.ts';

describe('acknowledgements', () => {
  test('leave in the order of arrival, each as early as that order allows, whatever finishes when', () => {
    const order = fc.uniqueArray(fc.nat({ max: 199 }), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(order, (finishing) => {
        const count = Math.max(...finishing) + 1;
        const sent: number[] = [];
        const acks = new AckOrder({
          committed: () => {},
          abandoned: () => {},
          acknowledge: (ack) => sent.push(ack.packetId),
        });
        const open: InboundAck[] = [];
        for (let i = 0; i < count; i++) open.push(acks.open(i, i % 3 === 0 ? 2 : 1, 10, 0));
        const finished = new Set<number>();
        for (const index of finishing) {
          open[index]?.complete(0);
          finished.add(index);
          let due = 0;
          while (finished.has(due)) due++;
          expect(sent).toEqual(Array.from({ length: due }, (_, i) => i));
          expect([acks.count, acks.bytes]).toEqual([count - due, (count - due) * 10]);
        }
      }),
    );
  });
});

describe('QoS 2 packet ids', () => {
  test('agree with a set of ids', () => {
    const step = fc.record({ id: fc.integer({ min: 1, max: 70 }), receive: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const dedup = new Qos2Dedup();
        const model = new Set<number>();
        for (const { id, receive } of steps) {
          if (receive) {
            dedup.receive(id);
            model.add(id);
          } else expect(dedup.release(id)).toBe(model.delete(id));
          expect(dedup.isReceived(id)).toBe(model.has(id));
          expect(dedup.size).toBe(model.size);
        }
      }),
    );
  });

  test('the first and the last id', () => {
    const dedup = new Qos2Dedup();
    for (const id of [1, 31, 32, 65_535]) dedup.receive(id);
    expect([1, 31, 32, 65_535].map((id) => dedup.release(id))).toEqual([true, true, true, true]);
    expect(dedup.size).toBe(0);
  });
});

/** What a client with a Receive Maximum sees, while it answers as it likes and its socket is full now and then. */
class Client implements ConnectionEffects {
  writable = true;
  dropped_ = 0;
  readonly publishes: PublishPacket[] = [];
  /** By packet id: what the client owes an answer for. */
  readonly owed = new Map<number, PublishPacket>();
  readonly released = new Set<number>();
  onWireMax = 0;
  readonly state: ConnectionState;
  session!: SessionState;
  readonly receiveMaximum: number;

  constructor(receiveMaximum: number) {
    this.receiveMaximum = receiveMaximum;
    const limits = { ...DEFAULT_PROTOCOL_LIMITS, liveQueueMax: 8 };
    this.state = new ConnectionState(this, limits);
    this.state.receive(
      {
        type: PacketType.CONNECT,
        protocolVersion: 5,
        clientId: 'c',
        cleanStart: true,
        keepAliveS: 0,
        properties: { receiveMaximum },
      },
      0,
    );
  }

  send(packet: Packet): void {
    if (packet.type === PacketType.PUBREL) this.released.add(packet.packetId);
    if (packet.type !== PacketType.PUBLISH) return;
    this.publishes.push(packet);
    if (packet.qos === 0) return;
    if (this.owed.has(packet.packetId)) throw new Error(`packet id ${packet.packetId} used twice`);
    this.owed.set(packet.packetId, packet);
    this.onWireMax = Math.max(this.onWireMax, this.owed.size);
  }
  /** Answers the n-th oldest message it owes an answer for. */
  answer(n: number): void {
    const entry = [...this.owed][n % Math.max(1, this.owed.size)];
    if (entry === undefined) return;
    const [packetId, packet] = entry;
    if (packet.qos === 1) {
      this.owed.delete(packetId);
      this.state.receive({ type: PacketType.PUBACK, packetId, reasonCode: 0 }, 0);
    } else if (this.released.delete(packetId)) {
      this.owed.delete(packetId);
      this.state.receive({ type: PacketType.PUBCOMP, packetId, reasonCode: 0 }, 0);
    } else this.state.receive({ type: PacketType.PUBREC, packetId, reasonCode: 0 }, 0);
  }

  close(): void {}
  authenticate(): void {
    this.state.authenticated(0, undefined, 0);
  }
  continueAuthentication(): void {}
  isUtf8(bytes: Uint8Array): boolean {
    return isUtf8(bytes);
  }
  assignClientId(): string {
    return 'assigned';
  }
  openSession(clientId: string): OpenedSession {
    this.session = new SessionState(clientId, undefined, this.state.limits, this.state);
    return { session: this.session, present: false, expiryS: 0 };
  }
  endSession(): void {}
  publish(): void {}
  publishWill(): void {}
  subscribe(): number {
    return 0;
  }
  subscribed(): void {}
  postponed(): void {}
  unsubscribe(): void {}
  acknowledged(): void {}
  dropped(): void {
    this.dropped_++;
  }
  failed(_code: number, why: string): void {
    throw new Error(why);
  }
}

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('live' as const), qos: fc.constantFrom<QoS>(0, 1, 2) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('queue' as const), qos: fc.constantFrom<0 | 1>(0, 1) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('answer' as const), n: fc.nat({ max: 7 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('socket' as const), full: fc.boolean() }) },
);

test('a message that is kept holds its own bytes, and nothing of the chunk it came in', () => {
  const chunk = Buffer.alloc(65_536, 7);
  const packet: PublishPacket = {
    type: PacketType.PUBLISH,
    topic: 't',
    payload: chunk.subarray(10, 15),
    qos: 1,
    retain: false,
    dup: false,
    packetId: 1,
    properties: { correlationData: chunk.subarray(20, 23) },
  };
  const kept = new PublishedMessage(packet, 'somebody', 0);
  kept.keep();
  const { payload } = kept;
  kept.keep();
  expect(kept.payload).toBe(payload);
  chunk.fill(0);
  expect([...kept.payload]).toEqual([7, 7, 7, 7, 7]);
  expect(kept.payload.buffer.byteLength).toBe(5);
  expect(kept.properties?.correlationData?.buffer.byteLength).toBe(3);
});

describe('deliveries', () => {
  test('keep order and bounds, and lose nothing but what was counted', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), fc.array(step, { maxLength: 120 }), (receiveMaximum, steps) => {
        const client = new Client(receiveMaximum);
        const { session } = client;
        let given = 0;
        let settled = 0;
        let outstanding = 0;
        const source = {
          withdrawn: false,
          accepted: () => settled++,
          rejected: () => settled++,
          returned: () => settled++,
        };
        for (const action of steps) {
          if (action.do === 'live') session.deliverLive(message(given++), action.qos, false, 0, undefined, 0);
          else if (action.do === 'queue') {
            // A queue never hands out more than its window.
            if (outstanding - settled >= session.queueWindow) continue;
            outstanding++;
            session.deliverFromQueue(message(given++), action.qos, 0, source, 0);
          } else if (action.do === 'answer') client.answer(action.n);
          else {
            client.writable = !action.full;
            if (client.writable) session.pump(0);
          }
          expect(client.onWireMax).toBeLessThanOrEqual(receiveMaximum);
          expect(session.backlog.liveCount).toBeLessThanOrEqual(8);
        }
        client.writable = true;
        session.pump(0);
        while (client.owed.size > 0) client.answer(0);
        const seen = client.publishes.map((packet) => Number(packet.topic));
        expect(seen.length + client.dropped_).toBe(given);
        const acknowledged = client.publishes.filter((p) => p.qos > 0).map((p) => Number(p.topic));
        expect(acknowledged).toEqual([...acknowledged].sort((a, b) => a - b));
        expect(settled).toBe(outstanding);
        expect([session.inflight.size, session.backlog.size, session.liveBytes]).toEqual([0, 0, 0]);
      }),
      { numRuns: 300 },
    );
  });
});

function message(number: number): PublishedMessage {
  const packet: PublishPacket = {
    type: PacketType.PUBLISH,
    topic: String(number),
    payload: new Uint8Array(3),
    qos: 2,
    retain: false,
    dup: false,
    packetId: 0,
  };
  return new PublishedMessage(packet, 'somebody', 0);
}
