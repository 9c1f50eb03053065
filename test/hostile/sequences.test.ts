import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { encode } from '@sluice/mqtt/codec/encoder';
import { type Packet, PacketType, type ProtocolVersion, type QoS } from '@sluice/mqtt/codec/packet';
import { BrokerUnderAttack, publishing, subscribing } from './broker-under-attack.ts';

/**
 * Packets that are each right, in orders nobody planned, some of them broken on the way, from clients that share ids and
 * vanish as they like, while queues come and go. Nothing is expected of a single one; all of them together must leave no
 * session, no subscription, no unsent byte, no trace of a bug in the log, and a broker that serves the next client.
 */
const CONNECTIONS = 1_500;
const AT_ONCE = 10;
const QUEUES = '/api/v5/message_queues/queues';
const TOPICS = ['a', 'a/b', 'x/b', 'lv', '$x/y', '$SYS/a', '$q/a', `a/${'b/'.repeat(100)}`];
const FILTERS = [
  'a',
  'a/#',
  '+/b',
  '#',
  '$share/g/a',
  '$share/g/a/#',
  '$q/a',
  '$q/a/#',
  '$q/lv',
  '$queue/x',
  '$queue/a',
  '$q/none',
];
const PAYLOADS = ['', 'x', '{"k":1}', '{"k":"v","z":[[]]}', '{"k":'].map((text) => Buffer.from(text));

let broker: BrokerUnderAttack;
beforeAll(async () => {
  broker = await BrokerUnderAttack.start({ flags: ['--set', 'mqtt.receiveMaximum=50'] });
});
afterAll(() => broker?.dispose());

/** The same choices for the same seed; what the network makes of them differs. */
class Choices {
  #state: number;
  constructor(seed: number) {
    this.#state = seed;
  }
  below(bound: number): number {
    this.#state = (Math.imul(this.#state, 1_103_515_245) + 12_345) >>> 0;
    return (this.#state >>> 8) % bound;
  }
  of<T>(values: readonly T[]): T {
    return values[this.below(values.length)] as T;
  }
  maybe(oneIn: number): boolean {
    return this.below(oneIn) === 0;
  }
}

function somePacket(choose: Choices, version: ProtocolVersion): Packet {
  const packetId = 1 + choose.below(12);
  const v5 = version === 5;
  switch (choose.below(12)) {
    case 0:
    case 1:
    case 2:
    case 3: {
      const topicAlias = choose.maybe(4) ? 1 + choose.below(33) : undefined;
      const properties = { userProperties: ['k', 'v'], messageExpiryIntervalS: choose.below(3), topicAlias };
      const more = v5 && choose.maybe(3) ? { properties } : {};
      const qos = choose.below(3) as QoS;
      return publishing(choose.of(TOPICS), {
        payload: choose.of(PAYLOADS),
        qos,
        retain: choose.maybe(2),
        packetId,
        ...more,
      });
    }
    case 4:
    case 5:
      return subscribing([choose.of(FILTERS), choose.of(FILTERS)], { packetId, qos: choose.below(3) as QoS });
    case 6:
      return { type: PacketType.UNSUBSCRIBE, packetId, filters: [choose.of(FILTERS)] };
    case 7:
      return { type: PacketType.PUBACK, packetId, reasonCode: v5 ? choose.of([0, 0, 0x10, 0x80]) : 0 };
    case 8:
      return { type: PacketType.PUBREC, packetId, reasonCode: v5 ? choose.of([0, 0x80]) : 0 };
    case 9:
      return { type: PacketType.PUBREL, packetId, reasonCode: 0 };
    case 10:
      return { type: PacketType.PUBCOMP, packetId, reasonCode: 0 };
    default:
      return choose.maybe(10) ? { type: PacketType.DISCONNECT, reasonCode: 0 } : { type: PacketType.PINGREQ };
  }
}

function broken(choose: Choices, bytes: Uint8Array): Uint8Array {
  const how = choose.below(30);
  if (how === 0) return bytes.subarray(0, choose.below(bytes.length));
  const copy = Uint8Array.from(bytes);
  if (how === 1) copy[choose.below(copy.length)] = choose.below(256);
  return copy;
}

async function oneConnection(choose: Choices): Promise<void> {
  const version = choose.of([4, 5] as const);
  const client = await broker.open(choose.maybe(4) ? 'ws' : 'tcp');
  const will = {
    topic: choose.of(['a', 'w', 'lv']),
    payload: Buffer.from('w'),
    qos: choose.below(3) as QoS,
    retain: choose.maybe(2),
  };
  const properties = {
    receiveMaximum: 1 + choose.below(5),
    topicAliasMaximum: choose.below(5),
    maximumPacketSizeBytes: 20 + choose.below(200),
  };
  void client
    .hello(`c${choose.below(6)}`, version, {
      cleanStart: choose.maybe(2),
      ...(choose.maybe(3) ? { will: { ...will, properties: undefined } as never } : {}),
      ...(version === 5 && choose.maybe(2) ? { properties } : {}),
    })
    .catch(() => {});
  for (let i = choose.below(40); i > 0 && !client.closed; i--) {
    client.write(broken(choose, encode(somePacket(choose, version), version)));
    if (choose.maybe(4)) await new Promise((resolve) => setImmediate(resolve));
  }
  if (choose.maybe(3)) client.socket.resetAndDestroy();
  else if (choose.maybe(2)) client.destroy();
  else client.socket.end();
}

async function churnQueues(choose: Choices): Promise<void> {
  const filter = choose.of(['a', 'a/#', '+/b', 'none', 'lv']);
  const key_expression = choose.of(["json_value(message.payload, 'k')", 'message.from']);
  const isLast = choose.maybe(2);
  const limits = { max_message_count: 1 + choose.below(50), overflow: choose.of(['refuse', 'drop_oldest']) };
  const dispatch_strategy = choose.of(['random', 'round_robin', 'least_inflight']);
  const more = isLast ? { key_expression } : {};
  await broker.rest.post(QUEUES, { topic_filter: filter, is_lastvalue: isLast, dispatch_strategy, limits, ...more });
  const path = `${QUEUES}/${encodeURIComponent(`/${filter}`)}`;
  for (const answer of [
    await broker.rest.get(`${path}/messages`),
    await broker.rest.put(path, { is_lastvalue: isLast, local_max_inflight: 1 + choose.below(20) }),
    choose.maybe(2) ? await broker.rest.post(`${path}/purge`, undefined) : await broker.rest.delete(path),
  ]) {
    // 503: its leader does not know a queue that was deleted a moment ago.
    expect([200, 204, 400, 404, 503]).toContain(answer.status);
  }
}

test('B19 B33: 1,500 connections of random packets, some broken, while queues come and go', async () => {
  let left = CONNECTIONS;
  const connecting = async (seed: number): Promise<void> => {
    const choose = new Choices(seed);
    while (left-- > 0) await oneConnection(choose);
  };
  const churning = async (): Promise<void> => {
    const choose = new Choices(99);
    while (left > 0) await churnQueues(choose);
  };
  await Promise.all([churning(), ...Array.from({ length: AT_ONCE }, (_, i) => connecting(i + 1))]);
  broker.hangUp();
  await broker.stillServes();
  await broker.until('nothing is left', async () => {
    const rows = [
      ...(await broker.metrics('sluice_gateway_sessions')).values(),
      ...(await broker.metrics('sluice_gateway_connections')).values(),
      ...(await broker.metrics('sluice_gateway_subscriptions')).values(),
      ...(await broker.metrics('sluice_gateway_send_buffer_bytes')).values(),
      ...(await broker.metrics('sluice_gateway_publish_buffer_bytes')).values(),
    ];
    return rows.every((value) => value === 0);
  });
  // It met what it was meant to meet.
  for (const kind of ['malformed_packet', 'protocol_error', 'topic_name_invalid', 'not_authorized']) {
    expect([kind, await broker.metric('sluice_gateway_protocol_errors_total', { kind })]).not.toEqual([kind, 0]);
  }
  await broker.server.stop();
  broker.expectNoBug();
}, 60_000);
