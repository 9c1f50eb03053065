import { Decoder } from '@sluice/mqtt/codec/decoder';
import { encode } from '@sluice/mqtt/codec/encoder';
import { type Packet, PacketType, type PublishPacket } from '@sluice/mqtt/codec/packet';
import type { RetainedCheck } from '../check/retained-check.ts';
import type { GatewayNode } from '../cluster/gateway-node.ts';
import type { Draw } from '../draw.ts';
import type { SimWorld } from '../sim-world.ts';
import { Violation } from '../simulation.ts';
import type { SimSocket, SocketClient } from './sim-socket.ts';

/**
 * A client that does to the letter what MQTT says of QoS 2. What it holds outlives its connections, which end in every way
 * there is: what it publishes until PUBCOMP, packet ids of what it received until PUBREL. Its session never expires, so
 * each message is handed on once, and a packet id never means two messages.
 */
export class ExactClient implements SocketClient {
  readonly clientId: string;
  /** Handed on, in their order. */
  readonly received: string[] = [];
  readonly completed = new Set<string>();
  /** Whether they are stored nobody said. */
  readonly refused = new Set<string>();
  readonly #parts: ExactClientParts;
  readonly #outbox = new Map<number, Sent>();
  readonly #inbox = new Map<number, { text: string; socket: SimSocket }>();
  #socket: SimSocket | undefined;
  #decoder = new Decoder({ maximumPacketSizeBytes: 1024 * 1024, role: 'client' });
  #isOpen = false;
  #isSubscribed = false;
  #wasOpen = false;
  #heardMs = 0;
  #published = 0;
  #retained = 0;
  #lastId = 0;
  #isOver = false;

  static readonly SILENCE_MS_MAX = 6_000;
  static readonly WINDOW = 5;
  static readonly TOPIC = '$exact';
  static readonly RETAINED_TOPIC = '$cleared';

  constructor(clientId: string, parts: ExactClientParts) {
    this.clientId = clientId;
    this.#parts = parts;
  }

  begin(): void {
    const { world, draw, actEveryMs } = this.#parts;
    world.after(actEveryMs * (0.5 + draw.between(0, 100) / 100), world.outside, () => {
      if (this.#isOver) return;
      this.begin();
      this.#act();
    });
  }

  get isSubscribed(): boolean {
    return this.#isSubscribed;
  }

  get unfinished(): number {
    return this.#outbox.size + this.#inbox.size;
  }

  /** Another one, if there is room for it. */
  publish(): void {
    if (!this.#isOpen || this.#outbox.size >= ExactClient.WINDOW) return;
    const text = `${this.clientId}:${++this.#published}`;
    this.#give({ topic: `${ExactClient.TOPIC}/${this.clientId}`, text, retainedId: 0, isReceived: false });
  }

  /**
   * Clears a topic and publishes its value behind that, both before either is answered. Each topic has one value, so what
   * comes again after a connection was lost and clears once more leaves nothing, and no later value makes that good.
   */
  clearAndRetain(): void {
    if (!this.#isOpen || this.#outbox.size + 2 > ExactClient.WINDOW) return;
    const topic = `${ExactClient.RETAINED_TOPIC}/${this.clientId}/${++this.#retained}`;
    for (const text of ['', topic]) {
      const retainedId = this.#retained * 2 + (text === '' ? 0 : 1);
      this.#parts.retained.published(topic, retainedId, text);
      this.#give({ topic, text, retainedId, isReceived: false });
    }
  }

  #give(sent: Sent): void {
    do this.#lastId = (this.#lastId % 20) + 1;
    while (this.#outbox.has(this.#lastId));
    this.#outbox.set(this.#lastId, sent);
    this.#sendPublish(this.#lastId, sent, false);
  }

  /** For good. */
  leave(): void {
    this.#isOver = true;
    this.#send({ type: PacketType.DISCONNECT, reasonCode: 0, properties: { sessionExpiryIntervalS: 0 } });
    this.#socket?.close();
  }

  describe(): string {
    const { clientId, received, completed } = this;
    return `${clientId}: ${received.length} received, ${completed.size} completed, ${this.unfinished} unfinished`;
  }

  #act(): void {
    const { world, draw, mayHarm } = this.#parts;
    if (this.#socket === undefined) {
      this.#connect();
      return;
    }
    if (world.nowMs - this.#heardMs > ExactClient.SILENCE_MS_MAX) this.#drop('reset');
    else if (mayHarm() && draw.onceIn(25)) this.#drop(draw.oneOf(['reset', 'vanish'] as const));
    else if (this.#isOpen) this.#send({ type: PacketType.PINGREQ });
  }

  #drop(how: 'reset' | 'vanish'): void {
    if (how === 'reset') this.#socket?.close();
    else this.#socket?.vanish();
    this.closed();
  }

  #connect(): void {
    const { world, draw, gateways } = this.#parts;
    const up = gateways.filter(({ state, mqtt }) => state === 'up' && mqtt !== undefined);
    if (up.length === 0) return;
    const decoder = new Decoder({ maximumPacketSizeBytes: 1024 * 1024, role: 'client' });
    decoder.protocolVersion = 5;
    this.#decoder = decoder;
    this.#heardMs = world.nowMs;
    this.#socket = draw.oneOf(up).mqtt?.connect(this.clientId, {
      bytes: (chunk) => {
        if (this.#decoder === decoder) this.bytes(chunk);
      },
      closed: () => {
        if (this.#decoder === decoder) this.closed();
      },
    });
    this.#send({
      type: PacketType.CONNECT,
      protocolVersion: 5,
      clientId: this.clientId,
      cleanStart: false,
      keepAliveS: 6,
      properties: { sessionExpiryIntervalS: 0xffff_ffff, receiveMaximum: 10 },
    });
  }

  bytes(chunk: Uint8Array): void {
    this.#heardMs = this.#parts.world.nowMs;
    this.#decoder.push(chunk);
    const socket = this.#socket;
    for (let packet = this.#decoder.next(); packet !== undefined; packet = this.#decoder.next()) {
      try {
        this.#take(packet);
      } catch (cause) {
        this.#parts.world.fail(cause);
      }
      if (this.#socket !== socket) return;
    }
  }

  closed(): void {
    this.#socket = undefined;
    this.#isOpen = false;
  }

  #take(packet: Packet): void {
    switch (packet.type) {
      case PacketType.CONNACK:
        if (packet.reasonCode === 0) this.#connected(packet.sessionPresent);
        return;
      case PacketType.SUBACK:
        if (packet.reasonCodes[0] !== 2) throw this.#violation(`was granted ${packet.reasonCodes[0]}`);
        this.#isSubscribed = true;
        return;
      case PacketType.PUBLISH:
        this.#arrived(packet);
        return;
      case PacketType.PUBREL:
        this.#inbox.delete(packet.packetId);
        this.#send({ type: PacketType.PUBCOMP, packetId: packet.packetId, reasonCode: 0 });
        return;
      case PacketType.PUBREC:
        this.#answered(packet.packetId, packet.reasonCode);
        return;
      case PacketType.PUBCOMP: {
        const publish = this.#outbox.get(packet.packetId);
        if (publish === undefined) return;
        this.#outbox.delete(packet.packetId);
        if (publish.retainedId === 0) this.completed.add(publish.text);
      }
    }
  }

  #connected(isPresent: boolean): void {
    if (this.#wasOpen && !isPresent) throw this.#violation('lost a session that never expires');
    this.#wasOpen = true;
    this.#isOpen = true;
    if (this.#parts.subscribes && !this.#isSubscribed) {
      const options = { qos: 2 as const, noLocal: false, retainAsPublished: false, retainHandling: 0 as const };
      const subscriptions = [{ filter: `${ExactClient.TOPIC}/#`, ...options }];
      this.#send({ type: PacketType.SUBSCRIBE, packetId: 60_000, subscriptions });
    }
    for (const [packetId, sent] of this.#outbox) {
      if (sent.isReceived) this.#send({ type: PacketType.PUBREL, packetId, reasonCode: 0 });
      else this.#sendPublish(packetId, sent, true);
    }
  }

  #arrived({ packetId, payload, dup }: PublishPacket): void {
    const text = Buffer.from(payload).toString();
    const known = this.#inbox.get(packetId);
    const socket = this.#socket as SimSocket;
    if (known === undefined) this.received.push(text);
    else if (known.text !== text) throw this.#violation(`has ${known.text} under ${packetId}, and got ${text}`);
    else if (!dup || known.socket === socket) throw this.#violation(`got ${text} again, and was not told so`);
    this.#inbox.set(packetId, { text, socket });
    this.#send({ type: PacketType.PUBREC, packetId, reasonCode: 0 });
  }

  #answered(packetId: number, reasonCode: number): void {
    const publish = this.#outbox.get(packetId);
    if (publish === undefined) return;
    if (reasonCode >= 0x80) {
      this.#outbox.delete(packetId);
      this.refused.add(publish.text);
      return;
    }
    publish.isReceived = true;
    const { topic, retainedId } = publish;
    if (retainedId > 0) this.#parts.retained.acknowledged(topic, retainedId, this.#parts.world.nowMs);
    this.#send({ type: PacketType.PUBREL, packetId, reasonCode: 0 });
  }

  #sendPublish(packetId: number, { topic, text, retainedId }: Sent, dup: boolean): void {
    const [payload, retain] = [Buffer.from(text), retainedId > 0];
    this.#send({ type: PacketType.PUBLISH, topic, payload, qos: 2, retain, dup, packetId });
  }

  #send(packet: Packet): void {
    this.#socket?.send(encode(packet, 5));
  }

  #violation(what: string): Violation {
    return new Violation('exactly once', `${this.clientId} ${what}`);
  }
}

interface Sent {
  readonly topic: string;
  readonly text: string;
  /** Of what is retained, ascending in its topic; 0: it is not. */
  readonly retainedId: number;
  isReceived: boolean;
}

export interface ExactClientParts {
  world: SimWorld;
  draw: Draw;
  gateways: readonly GatewayNode[];
  actEveryMs: number;
  subscribes: boolean;
  retained: RetainedCheck;
  /** Its connections may be lost. */
  mayHarm: () => boolean;
}
