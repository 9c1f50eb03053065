import { PacketType } from '@sluice/mqtt/codec/packet';
import type { RetainedValues } from '../check/retained-values.ts';
import type { GatewayNode } from '../cluster/gateway-node.ts';
import type { Draw } from '../draw.ts';
import { type ConnectionListener, MqttConnection } from '../sessions/mqtt-connection.ts';
import type { SimWorld } from '../sim-world.ts';
import type { RetainedKnobs } from './retained-knobs.ts';

/** Publishes to topics that are its own, one value of each at a time: full, empty, and such that expire. */
export class RetainedPublisher implements ConnectionListener {
  readonly #name: string;
  readonly #topics: readonly string[];
  readonly #parts: PublisherParts;
  #connection: MqttConnection | undefined;
  #connections = 0;
  /** By packet id. */
  readonly #unanswered = new Map<number, { id: number; topic: string; qos: number }>();
  readonly #underWay = new Set<string>();
  #packetId = 0;
  /** Topics that had no value yet come first. */
  #first = 0;

  constructor(name: string, topics: readonly string[], parts: PublisherParts) {
    this.#name = name;
    this.#topics = topics;
    this.#parts = parts;
  }

  get isAnswered(): boolean {
    return this.#unanswered.size === 0;
  }

  publish(): void {
    const { draw, knobs } = this.#parts;
    const connection = this.#connection;
    if (connection === undefined) this.#connect();
    else if (connection.state !== 'open') return;
    else if (this.isAnswered && draw.onceIn(knobs.moveOneIn)) connection.leave();
    else this.#publish(connection);
  }

  leave(): void {
    this.#connection?.leave();
  }

  #connect(): void {
    const { world, draw, gateways } = this.#parts;
    const up = gateways.filter(({ state, mqtt }) => state === 'up' && mqtt !== undefined);
    if (up.length === 0) return;
    this.#connection = new MqttConnection({
      world,
      gateway: draw.oneOf(up),
      clientId: `${this.#name}.${++this.#connections}`,
      isClean: true,
      expiryS: 0,
      receiveMaximum: 10,
      listener: this,
    });
  }

  #publish(connection: MqttConnection): void {
    const { world, draw, knobs, values, mayReplace, nextId } = this.#parts;
    const isFirst = this.#first < this.#topics.length;
    const topic = isFirst ? (this.#topics[this.#first] as string) : draw.oneOf(this.#topics);
    if (this.#underWay.has(topic) || !mayReplace(topic)) return;
    if (isFirst) this.#first++;
    const id = nextId();
    const qos = draw.oneOf([1, 1, 2] as const);
    const sizeBytes = !isFirst && draw.onceIn(knobs.clearOneIn) ? 0 : draw.between(1, knobs.payloadBytes);
    const expiryS = draw.onceIn(knobs.expireOneIn) ? draw.between(1, 4) : 0;
    do this.#packetId = (this.#packetId % 65_535) + 1;
    while (this.#unanswered.has(this.#packetId));
    this.#unanswered.set(this.#packetId, { id, topic, qos });
    this.#underWay.add(topic);
    values.published({ id, topic, process: connection.process, sentMs: world.nowMs, qos, sizeBytes, expiryS });
    connection.publish(this.#packetId, {
      topic,
      payload: Buffer.alloc(sizeBytes, 'x'),
      retain: true,
      qos,
      properties: {
        userProperties: ['id', String(id)],
        ...(expiryS === 0 ? {} : { messageExpiryIntervalS: expiryS }),
      },
    });
  }

  connected(): void {}

  published(connection: MqttConnection, packetId: number, reasonCode: number): void {
    const sent = this.#unanswered.get(packetId);
    if (sent === undefined || connection !== this.#connection) return;
    const { world, values } = this.#parts;
    const isRefused = reasonCode >= 0x80;
    if (sent.qos === 1 || isRefused) this.#unanswered.delete(packetId);
    else connection.answer(PacketType.PUBREL, packetId);
    this.#underWay.delete(sent.topic);
    if (isRefused) return;
    world.trace.count(sent.id);
    values.acknowledged(sent.id, world.nowMs);
  }

  completed(_connection: MqttConnection, packetId: number): void {
    this.#unanswered.delete(packetId);
  }

  ended(connection: MqttConnection): void {
    if (this.#connection !== connection) return;
    this.#connection = undefined;
    this.#unanswered.clear();
    this.#underWay.clear();
  }
}

export interface PublisherParts {
  world: SimWorld;
  draw: Draw;
  knobs: RetainedKnobs;
  gateways: readonly GatewayNode[];
  values: RetainedValues;
  /** Nobody waits for the value that is there. */
  mayReplace: (topic: string) => boolean;
  nextId: () => number;
}
