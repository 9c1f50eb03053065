import { type QueueCheck, textOf } from '../check/queue-check.ts';
import type { RetainedCheck } from '../check/retained-check.ts';
import type { SessionCheck } from '../check/session-check.ts';
import type { GatewayNode } from '../cluster/gateway-node.ts';
import type { Draw } from '../draw.ts';
import type { SimWorld } from '../sim-world.ts';
import { type ConnectionListener, MqttConnection } from './mqtt-connection.ts';
import type { SessionKnobs } from './session-knobs.ts';

/**
 * MQTT clients that publish numbered messages at QoS 1: for sessions alone, for sessions and a queue, and retained. What was
 * not answered when a connection is lost is not sent again: the checkers know each message once.
 */
export class SessionPublishers {
  readonly #parts: PublisherParts;
  readonly #publishers: SessionPublisher[];
  #nextId: number;
  #isOver = false;

  /** Those of the publishers without MQTT begin at 1. */
  static readonly IDS_FROM = 1_000_000_000;

  constructor(parts: PublisherParts) {
    this.#parts = parts;
    this.#nextId = SessionPublishers.IDS_FROM;
    this.#publishers = Array.from(
      { length: parts.knobs.publishers },
      (_, i) => new SessionPublisher(parts, i, () => this.#nextId++),
    );
  }

  begin(): void {
    for (const publisher of this.#publishers) this.#next(publisher);
  }

  end(): void {
    this.#isOver = true;
  }

  /** All that was sent is answered, or its connection is gone. */
  get areAnswered(): boolean {
    return this.#publishers.every(({ waiting }) => waiting === 0);
  }

  leave(): void {
    for (const publisher of this.#publishers) publisher.leave();
  }

  #next(publisher: SessionPublisher): void {
    const { world, draw, knobs } = this.#parts;
    world.after(knobs.publishEveryMs * (0.5 + draw.between(0, 100) / 100), world.outside, () => {
      if (this.#isOver) return;
      this.#next(publisher);
      publisher.publish();
    });
  }
}

class SessionPublisher implements ConnectionListener {
  readonly #parts: PublisherParts;
  readonly #number: number;
  readonly #nextId: () => number;
  #connection: MqttConnection | undefined;
  #connections = 0;
  /** Of the connection, by topic. */
  #sequences = new Map<string, number>();
  readonly #unanswered = new Map<number, SentPublish>();

  static readonly UNANSWERED_MAX = 20;

  constructor(parts: PublisherParts, number: number, nextId: () => number) {
    this.#parts = parts;
    this.#number = number;
    this.#nextId = nextId;
  }

  get waiting(): number {
    return this.#unanswered.size;
  }

  leave(): void {
    this.#connection?.leave();
  }

  publish(): void {
    const { draw } = this.#parts;
    if (this.#connection === undefined) this.#connect();
    else if (draw.onceIn(150)) this.#connection.reset();
    else if (this.#connection.state === 'open' && this.waiting < SessionPublisher.UNANSWERED_MAX) {
      this.#publish(this.#connection);
    }
  }

  #connect(): void {
    const { world, draw, gateways } = this.#parts;
    const up = gateways.filter(({ state, mqtt }) => state === 'up' && mqtt !== undefined);
    if (up.length === 0) return;
    this.#sequences = new Map();
    this.#connection = new MqttConnection({
      world,
      gateway: draw.oneOf(up),
      clientId: `publisher${this.#number}.${++this.#connections}`,
      isClean: true,
      expiryS: 0,
      receiveMaximum: 10,
      listener: this,
    });
  }

  #publish(connection: MqttConnection): void {
    const { draw, knobs, queues, queueCheck } = this.#parts;
    const kind = draw.oneOf(['sessions', 'sessions', 'queue', 'retained'] as const);
    if (kind === 'queue') {
      const { queueId, topicFilter, isLastValue } = draw.oneOf(queues);
      const message = this.#message(connection, topicFilter, queueId, isLastValue ? connection.clientId : undefined);
      queueCheck.published(message);
      this.#send(connection, message, { retain: false, isQueued: true });
    } else if (kind === 'sessions') {
      const topic = `d/${draw.between(1, knobs.topics)}`;
      this.#send(connection, this.#message(connection, topic, 0, undefined), { retain: false, isQueued: false });
    } else {
      // One publisher a topic, one value at a time.
      const topic = `r/${this.#number}/${draw.between(1, knobs.retainedTopics)}`;
      for (const other of this.#unanswered.values()) if (other.topic === topic) return;
      const message = draw.onceIn(8)
        ? { id: this.#nextId(), topic, text: '' }
        : this.#message(connection, topic, 0, undefined);
      this.#parts.retained.published(topic, message.id, message.text);
      this.#send(connection, message, { retain: true, isQueued: false });
    }
  }

  #message(connection: MqttConnection, topic: string, queueId: number, key: string | undefined) {
    const sequence = (this.#sequences.get(topic) ?? 0) + 1;
    this.#sequences.set(topic, sequence);
    const named = { id: this.#nextId(), queueId, publisher: connection.clientId, sequence, key };
    const message = { ...named, topic, sentAtMs: this.#parts.world.nowMs, text: textOf(named) };
    this.#parts.check.published(message);
    return message;
  }

  /** Without a text what is retained is to go: sessions get that like any message, and can tell nothing by it. */
  #send(
    connection: MqttConnection,
    { id, topic, text }: { id: number; topic: string; text: string },
    how: { retain: boolean; isQueued: boolean },
  ): void {
    const payload = Buffer.from(text === '' ? '' : `${text} `);
    this.#unanswered.set(connection.publish(topic, payload, how.retain), { id, topic, text, ...how });
  }

  connected(): void {}

  published(_connection: MqttConnection, packetId: number, reasonCode: number): void {
    const sent = this.#unanswered.get(packetId);
    if (sent === undefined) return;
    const { id, topic, text, retain, isQueued } = sent;
    this.#unanswered.delete(packetId);
    // No queue, no session: nothing was kept, and that is told as a success.
    if (reasonCode >= 0x80) return;
    const { world, check, queueCheck, retained } = this.#parts;
    world.trace.count(id);
    if (text !== '') check.acknowledged(id, world.nowMs);
    if (isQueued) queueCheck.acknowledged(id);
    if (retain) retained.acknowledged(topic, id, world.nowMs);
  }

  ended(connection: MqttConnection): void {
    if (this.#connection !== connection) return;
    this.#connection = undefined;
    this.#unanswered.clear();
  }
}

interface SentPublish {
  readonly id: number;
  readonly topic: string;
  readonly text: string;
  readonly retain: boolean;
  readonly isQueued: boolean;
}

export interface PublisherParts {
  world: SimWorld;
  draw: Draw;
  knobs: SessionKnobs;
  gateways: readonly GatewayNode[];
  check: SessionCheck;
  queueCheck: QueueCheck;
  retained: RetainedCheck;
  /** Those that are there from beginning to end. */
  queues: readonly { queueId: number; topicFilter: string; isLastValue: boolean }[];
}
