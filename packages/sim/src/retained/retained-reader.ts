import { PacketType, type PublishPacket, type QoS } from '@sluice/mqtt/codec/packet';
import type { RetainedValues } from '../check/retained-values.ts';
import { SubscriptionRead } from '../check/subscription-read.ts';
import type { GatewayNode } from '../cluster/gateway-node.ts';
import type { Draw } from '../draw.ts';
import { type ConnectionListener, MqttConnection } from '../sessions/mqtt-connection.ts';
import type { SimWorld } from '../sim-world.ts';
import { Violation } from '../simulation.ts';
import type { RetainedKnobs } from './retained-knobs.ts';

/**
 * A client that subscribes, some filters at a time, with each Retain Handling, reads what is retained and stays for a while;
 * then it subscribes anew, takes a filter back and subscribes to it again, or leaves. Who misses something stays.
 */
export class RetainedReader implements ConnectionListener {
  readonly clientId: string;
  readonly gateway: GatewayNode;
  hasEnded = false;
  /** When something came last. */
  heardMs = 0;
  readonly #parts: ReaderParts;
  readonly #connection: MqttConnection;
  readonly #reads: OneFilter[] = [];
  readonly #asked = new Map<number, OneFilter>();
  #staysUntilMs: number;
  #timesLeft: number;

  /** By the network and by the gateway's own turns. */
  static readonly TURN_MS = 10;

  constructor(clientId: string, gateway: GatewayNode, parts: ReaderParts) {
    this.clientId = clientId;
    this.gateway = gateway;
    this.#parts = parts;
    const { world, draw, knobs, isForGood } = parts;
    this.#timesLeft = isForGood ? 0 : draw.between(0, 2);
    this.#staysUntilMs = isForGood ? Number.POSITIVE_INFINITY : 0;
    const { expiryS } = parts;
    const { receiveMaximum } = knobs;
    this.#connection = new MqttConnection({
      world,
      gateway,
      clientId,
      isClean: true,
      expiryS,
      receiveMaximum,
      listener: this,
    });
  }

  connected(connection: MqttConnection): void {
    const { draw, values, filters, expiryS, isStrict, isForGood } = this.#parts;
    for (const [i, filter] of filters.entries()) {
      const qos = isForGood ? 1 : draw.oneOf([0, 1, 2] as const);
      const { process } = connection;
      const isKept = expiryS > 0;
      const mayBind = qos === 2 && isKept;
      const options = { filter, qos, retainAsPublished: draw.onceIn(4), process, mayBind, isKept, isStrict };
      const read = new SubscriptionRead(this.clientId, options, values);
      this.#reads.push({ read, identifier: i + 1, qos, retainAsPublished: options.retainAsPublished });
    }
    for (const one of this.#reads) this.#subscribe(one, isForGood ? 0 : draw.oneOf([0, 0, 0, 1, 2] as const));
  }

  #subscribe(one: OneFilter, retainHandling: 0 | 1 | 2): void {
    const { read, identifier, qos, retainAsPublished } = one;
    read.asked(retainHandling, this.#parts.world.nowMs);
    const options = { retainHandling, retainAsPublished };
    this.#asked.set(this.#connection.subscribe(read.filter, identifier, qos, options), one);
  }

  subscribed(_connection: MqttConnection, packetId: number, reasonCode: number): void {
    const one = this.#asked.get(packetId);
    this.#asked.delete(packetId);
    if (one === undefined) return;
    if (reasonCode !== one.qos) this.#fails(new Violation('QoS', `${this.clientId} was granted ${reasonCode}`));
    one.read.subscribed(this.#parts.world.nowMs);
    const { world, draw, isForGood } = this.#parts;
    if (!isForGood) this.#staysUntilMs = world.nowMs + draw.oneOf([50, 300, 2_000]);
  }

  unsubscribed(_connection: MqttConnection, packetId: number): void {
    const one = this.#asked.get(packetId);
    this.#asked.delete(packetId);
    if (one === undefined) return;
    one.read.unsubscribed();
    this.#subscribe(one, this.#parts.draw.oneOf([0, 1, 1] as const));
  }

  message(connection: MqttConnection, packet: PublishPacket): void {
    const { world, wayMsMax } = this.#parts;
    this.heardMs = world.nowMs;
    const { packetId, qos, retain, topic, payload, properties } = packet;
    this.#answerLater(connection, packetId, qos);
    const identifier = properties?.subscriptionIdentifiers?.[0];
    const one = this.#reads.find((each) => each.identifier === identifier);
    const id = Number(properties?.userProperties?.[1]);
    if (one === undefined) {
      this.#fails(new Violation('no invention', `${this.clientId} got ${id} of ${topic} for ${identifier}`));
      return;
    }
    const expiryS = properties?.messageExpiryIntervalS;
    try {
      const arrived = { topic, id, qos, retain, sizeBytes: payload.length, expiryS };
      one.read.came(arrived, world.nowMs, wayMsMax() + RetainedReader.TURN_MS);
    } catch (cause) {
      this.#fails(cause);
    }
  }

  #answerLater(connection: MqttConnection, packetId: number, qos: QoS): void {
    if (qos === 0) return;
    const { world, draw, knobs } = this.#parts;
    const answer = (): void => connection.answer(qos === 1 ? PacketType.PUBACK : PacketType.PUBREC, packetId);
    if (knobs.thinkMsMax === 0) answer();
    else world.after(draw.between(0, knobs.thinkMsMax), world.outside, answer);
  }

  released(connection: MqttConnection, packetId: number): void {
    connection.answer(PacketType.PUBCOMP, packetId);
  }

  ended(): void {
    this.hasEnded = true;
  }

  /** Every now and then. */
  act(): void {
    const { world, draw } = this.#parts;
    if (this.hasEnded || !this.isComplete || world.nowMs < this.#staysUntilMs) return;
    if (this.#timesLeft === 0) {
      this.leave();
      return;
    }
    this.#timesLeft--;
    const one = draw.oneOf(this.#reads);
    if (draw.onceIn(3)) this.#asked.set(this.#connection.unsubscribe(one.read.filter), one);
    else this.#subscribe(one, draw.oneOf([0, 1, 2] as const));
  }

  leave(): void {
    this.#connection.leave(0);
  }

  /** It has what it is owed, as far as it has been answered. */
  get isComplete(): boolean {
    if (this.#asked.size > 0 || this.#reads.length === 0) return false;
    const { nowMs } = this.#parts.world;
    return this.#reads.every(({ read }) => read.missing(nowMs)[Symbol.iterator]().next().done === true);
  }

  awaits(topic: string): boolean {
    const { nowMs } = this.#parts.world;
    return !this.hasEnded && this.#reads.some(({ read }) => read.isMissing(topic, nowMs));
  }

  get reads(): readonly SubscriptionRead[] {
    return this.hasEnded ? [] : this.#reads.map(({ read }) => read);
  }

  describe(): string {
    const { nowMs } = this.#parts.world;
    const missing = this.reads.map((read) => {
      const some = [...read.missing(nowMs)]
        .slice(0, 5)
        .map(({ topic, id, isRead }) => `${id} of ${topic}${isRead ? '' : ' live'}`);
      return `${read.filter} since ${read.subscribedMs.toFixed(0)} without ${some.join(', ')}`;
    });
    return `${this.clientId} at ${this.#connection.process} (${this.#connection.state}): ${missing.join('; ')}`;
  }

  #fails(cause: unknown): void {
    this.#parts.world.fail(cause);
  }
}

interface OneFilter {
  readonly read: SubscriptionRead;
  readonly identifier: number;
  readonly qos: QoS;
  readonly retainAsPublished: boolean;
}

export interface ReaderParts {
  world: SimWorld;
  draw: Draw;
  knobs: RetainedKnobs;
  values: RetainedValues;
  filters: readonly string[];
  /** 0: its session ends with its connection. */
  expiryS: number;
  isStrict: boolean;
  /** It reads once, and stays to the end. */
  isForGood: boolean;
  /** What a byte may need between a gateway and a client. */
  wayMsMax: () => number;
}
