import { PacketType } from '@sluice/mqtt/codec/packet';
import { type QueueCheck, textOf } from '../check/queue-check.ts';
import type { RetainedCheck } from '../check/retained-check.ts';
import type { SessionCheck } from '../check/session-check.ts';
import type { GatewayNode } from '../cluster/gateway-node.ts';
import type { Draw } from '../draw.ts';
import type { SimWorld } from '../sim-world.ts';
import { type ConnectionListener, MqttConnection } from './mqtt-connection.ts';
import type { SessionKnobs } from './session-knobs.ts';

/**
 * MQTT clients that publish numbered messages: for sessions alone, for sessions and a queue, and retained. What was not
 * answered at QoS 1 when a connection is lost is not sent again: the checkers know each message once. Where publishers keep
 * their sessions, exchanges at QoS 2 go on over the next connection, and what they publish is stored once all the same.
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
    return this.#publishers.filter((publisher) => !publisher.isSettled()).length === 0;
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
  /** Of the connection, by QoS and topic: no order holds between messages of different QoS [MQTT-4.6.0-6]. */
  #sequences = new Map<string, number>();
  /** By packet id, in the order in which they were sent. */
  readonly #unanswered = new Map<number, SentPublish>();
  #packetId = 0;

  static readonly UNANSWERED_MAX = 20;

  constructor(parts: PublisherParts, number: number, nextId: () => number) {
    this.#parts = parts;
    this.#number = number;
    this.#nextId = nextId;
  }

  /** All is answered; one that keeps its session is there to end it. */
  isSettled(): boolean {
    const { isExactlyOnce } = this.#parts.knobs;
    if (isExactlyOnce && this.#connection === undefined && this.#connections > 0) this.#connect();
    return this.#unanswered.size === 0 && (!isExactlyOnce || this.#connection?.state !== 'connecting');
  }

  leave(): void {
    this.#connection?.leave(this.#parts.knobs.isExactlyOnce ? 0 : undefined);
  }

  publish(): void {
    const { draw } = this.#parts;
    if (this.#connection === undefined) this.#connect();
    else if (draw.onceIn(150)) this.#connection.reset();
    else if (this.#connection.state === 'open' && this.#unanswered.size < SessionPublisher.UNANSWERED_MAX) {
      this.#publish(this.#connection);
    }
  }

  #connect(): void {
    const { world, draw, gateways, knobs } = this.#parts;
    const up = gateways.filter(({ state, mqtt }) => state === 'up' && mqtt !== undefined);
    if (up.length === 0) return;
    this.#sequences = new Map();
    this.#connections++;
    this.#connection = new MqttConnection({
      world,
      gateway: draw.oneOf(up),
      clientId: knobs.isExactlyOnce ? `publisher${this.#number}` : this.#name,
      isClean: !knobs.isExactlyOnce,
      expiryS: knobs.isExactlyOnce ? NEVER_S : 0,
      receiveMaximum: 10,
      listener: this,
    });
  }

  /** Who publishes over this connection. */
  get #name(): string {
    return `publisher${this.#number}.${this.#connections}`;
  }

  #publish(connection: MqttConnection): void {
    const { draw, knobs, queues, queueCheck } = this.#parts;
    const kind = draw.oneOf(['sessions', 'sessions', 'queue', 'retained'] as const);
    const qos = knobs.isExactlyOnce && draw.onceIn(2) ? 2 : 1;
    if (kind === 'queue') {
      const { queueId, topicFilter, isLastValue } = draw.oneOf(queues);
      // A client that keeps its session is one key over all of its connections, and no order holds over those.
      if (isLastValue && knobs.isExactlyOnce) return;
      const message = this.#message(topicFilter, qos, queueId, isLastValue ? connection.clientId : undefined);
      queueCheck.published(message);
      this.#send(connection, { ...message, retain: false, qos, isQueued: true });
    } else if (kind === 'sessions') {
      const topic = `d/${draw.between(1, knobs.topics)}`;
      this.#send(connection, { ...this.#message(topic, qos, 0, undefined), retain: false, qos, isQueued: false });
    } else {
      // One publisher a topic, one value at a time.
      const topic = `r/${this.#number}/${draw.between(1, knobs.retainedTopics)}`;
      for (const other of this.#unanswered.values()) if (other.topic === topic) return;
      const message = draw.onceIn(8) ? { id: this.#nextId(), topic, text: '' } : this.#message(topic, 1, 0, undefined);
      this.#parts.retained.published(topic, message.id, message.text);
      this.#send(connection, { ...message, retain: true, qos: 1, isQueued: false });
    }
  }

  #message(topic: string, qos: 1 | 2, queueId: number, key: string | undefined) {
    const line = `${qos} ${topic}`;
    const sequence = (this.#sequences.get(line) ?? 0) + 1;
    this.#sequences.set(line, sequence);
    const publisher = qos === 1 ? this.#name : `${this.#name}q2`;
    const named = { id: this.#nextId(), queueId, publisher, sequence, key };
    const message = { ...named, topic, sentAtMs: this.#parts.world.nowMs, text: textOf(named) };
    this.#parts.check.published(message);
    return message;
  }

  /** Without a text what is retained is to go: sessions get that like any message, and can tell nothing by it. */
  #send(connection: MqttConnection, sent: Omit<SentPublish, 'payload' | 'isReceived'>): void {
    do this.#packetId = (this.#packetId % 65_535) + 1;
    while (this.#unanswered.has(this.#packetId));
    const payload = Buffer.from(sent.text === '' ? '' : `${sent.text} `);
    const publish = { ...sent, payload, isReceived: false };
    this.#unanswered.set(this.#packetId, publish);
    connection.publish(this.#packetId, publish);
  }

  /** What was begun at QoS 2 goes on [MQTT-4.4.0-1], if the session does. */
  connected(connection: MqttConnection, isPresent: boolean): void {
    if (!isPresent) this.#unanswered.clear();
    for (const [packetId, sent] of this.#unanswered) {
      if (sent.isReceived) connection.answer(PacketType.PUBREL, packetId);
      else {
        this.#parts.check.resent(sent.id);
        connection.publish(packetId, sent, true);
      }
    }
  }

  published(connection: MqttConnection, packetId: number, reasonCode: number): void {
    const sent = this.#unanswered.get(packetId);
    if (sent === undefined || connection !== this.#connection) return;
    const { id, topic, text, retain, isQueued, qos } = sent;
    // No queue, no session: nothing was kept, and that is told as a success.
    const isRefused = reasonCode >= 0x80;
    if (qos === 1 || isRefused) this.#unanswered.delete(packetId);
    else connection.answer(PacketType.PUBREL, packetId);
    if (isRefused || sent.isReceived) return;
    sent.isReceived = true;
    const { world, check, queueCheck, retained } = this.#parts;
    world.trace.count(id);
    if (text !== '') check.acknowledged(id, world.nowMs);
    if (isQueued) queueCheck.acknowledged(id);
    if (retain) retained.acknowledged(topic, id, world.nowMs);
  }

  completed(_connection: MqttConnection, packetId: number): void {
    this.#unanswered.delete(packetId);
  }

  ended(connection: MqttConnection): void {
    if (this.#connection !== connection) return;
    this.#connection = undefined;
    for (const [packetId, { qos }] of this.#unanswered) if (qos === 1) this.#unanswered.delete(packetId);
  }
}

const NEVER_S = 0xffff_ffff;

interface SentPublish {
  readonly id: number;
  readonly topic: string;
  readonly text: string;
  readonly payload: Uint8Array;
  readonly retain: boolean;
  readonly qos: 1 | 2;
  readonly isQueued: boolean;
  /** PUBREC has come. */
  isReceived: boolean;
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
