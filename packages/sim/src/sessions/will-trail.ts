import { decodeWillMessage } from '@sluice/gateway/session/will-message';
import type { PublishPacket, QoS, Will } from '@sluice/mqtt/codec/packet';
import { EncodedRecord } from '@sluice/queue/record/record-view';
import type { SessionsResponse, StreamDelivery } from '@sluice/rpc/contract/sessions';
import { type QueueCheck, textOf } from '../check/queue-check.ts';
import type { RetainedCheck } from '../check/retained-check.ts';
import type { SessionCheck } from '../check/session-check.ts';
import { type LeftWill, WillCheck } from '../check/will-check.ts';
import type { Draw } from '../draw.ts';
import type { SimWorld } from '../sim-world.ts';

/**
 * Every will from the CONNECT that leaves it, through the store and the gateway that is asked for it, to where it comes to
 * be. A will that a gateway begins to publish is a message like any other from then on, acknowledged when its gateway has
 * said so to the store: whoever checks queues, sessions and retained messages takes it from there.
 */
export class WillTrail {
  readonly check: WillCheck;
  readonly #parts: WillTrailParts;
  readonly #messages = new Map<number, WillOfClient>();
  /** By client and epoch. */
  readonly #byEpoch = new Map<string, number>();
  /** By partition and number: what is in a group. */
  readonly #groups = new Map<string, readonly number[]>();
  readonly #sequences = new Map<string, number>();
  #nextId = IDS_FROM;

  constructor(parts: WillTrailParts) {
    this.#parts = parts;
    this.check = new WillCheck(parts.mayLose);
  }

  // ---- its client

  leaves(session: Omit<LeftWill, 'id' | 'sentMs'>, hasWill: boolean): { id: number; will: Will | undefined } {
    const { world, draw, queues } = this.#parts;
    const { clientId, delayS } = session;
    const id = this.#nextId++;
    const queue = draw.oneOf(queues());
    const isRetained = draw.onceIn(3);
    const qos = draw.oneOf([0, 1, 2] as const);
    this.#guarded(() => this.check.left({ ...session, id, sentMs: world.nowMs }, hasWill));
    const publisher = `${clientId}q${qos}`;
    const sequence = (this.#sequences.get(publisher) ?? 0) + 1;
    this.#sequences.set(publisher, sequence);
    const message = {
      id,
      queueId: isRetained ? 0 : queue.queueId,
      publisher,
      sequence,
      key: undefined,
      // Nobody else's: its values have an order.
      topic: isRetained ? `r/${clientId}/1` : queue.topicFilter,
      qos,
      expiryS: session.expiryS,
      hasFired: false,
    };
    this.#messages.set(id, message);
    const will = { topic: message.topic, payload: Buffer.from(`${textOf(message)} `), qos, retain: isRetained };
    if (!hasWill) return { id, will: undefined };
    return { id, will: delayS === 0 ? will : { ...will, properties: { willDelayIntervalS: delayS } } };
  }

  expirySOf(id: number): number {
    return this.#messages.get(id)?.expiryS ?? 0;
  }

  opened(id: number): void {
    this.#guarded(() => this.check.opened(id, this.#parts.world.nowMs));
  }

  saidFarewell(id: number, takesBack: boolean, expiryS: number | undefined): void {
    this.check.saidFarewell(id, takesBack, expiryS);
  }

  ended(id: number, isByClient: boolean): void {
    this.check.ended(id, this.#parts.world.nowMs, isByClient);
  }

  // ---- gateways and stores

  /** A store has let a connection in. */
  hasEpoch(clientId: string, message: Uint8Array, epoch: number): void {
    const { packet } = decodeWillMessage(clientId, message);
    this.#byEpoch.set(`${clientId} ${epoch}`, idOf(packet.payload));
  }

  /** A store said then that it has let it go. */
  closed(clientId: string, epoch: number, isTakenBack: boolean, saidAtMs: number): void {
    const id = this.#byEpoch.get(`${clientId} ${epoch}`);
    if (id !== undefined) this.#guarded(() => this.check.closed(id, saidAtMs, isTakenBack));
  }

  asked({ partition, group, wills }: Extract<SessionsResponse, { type: 'publish-wills' }>): void {
    const ids = wills.map(({ clientId, message }) => idOf(decodeWillMessage(clientId, message).packet.payload));
    this.#groups.set(`${partition} ${group}`, ids);
  }

  /** `streams`: those that its gateway knows. */
  publishes({ payload }: PublishPacket, streams: ReadonlySet<string>, process: string): void {
    const { world, sessions, queueCheck, retained } = this.#parts;
    const { nowMs } = world;
    const id = idOf(payload);
    world.trace.add(nowMs, process, `publishes will ${id}`);
    this.#guarded(() => this.check.published(id, nowMs, process));
    const message = this.#messages.get(id);
    if (message === undefined) return;
    const { topic, queueId, qos, publisher, sequence } = message;
    const text = textOf(message);
    const isAgain = message.hasFired;
    message.hasFired = true;
    if (!isAgain) {
      if (qos > 0) sessions.published({ id, topic, publisher, sequence, sentAtMs: nowMs, text });
      if (queueId === 0) retained.published(topic, id, text);
      else queueCheck.published({ id, queueId, publisher, sequence, key: undefined });
    } else if (qos > 0) {
      sessions.resent(id);
      // Until this gateway has said so as well: it may know of streams that began since.
      sessions.acknowledged(id, Number.POSITIVE_INFINITY);
    }
    if (qos > 0) sessions.routed(id, streams);
  }

  /** A gateway says so of the whole group. */
  confirms(partition: number, group: number): void {
    const { world, sessions, queueCheck, retained } = this.#parts;
    for (const id of this.#groups.get(`${partition} ${group}`) ?? []) {
      const message = this.#messages.get(id);
      if (message?.hasFired !== true) continue;
      world.trace.count(id);
      this.check.confirmed(id, world.nowMs);
      if (message.qos > 0) sessions.acknowledged(id, world.nowMs);
      if (message.queueId === 0) retained.acknowledged(message.topic, id, world.nowMs);
      else queueCheck.acknowledged(id);
    }
  }

  kept(partition: number, { streamId, offset, record }: StreamDelivery): void {
    const id = idOf(new EncodedRecord(record).payload);
    if (WillTrail.isWill(id)) this.#guarded(() => this.check.kept(id, `${partition}:${streamId}`, offset));
  }

  /** At QoS 0: by nothing else but what subscribes just then. */
  cameLive(id: number, subscription: string): void {
    this.#guarded(() => this.check.cameLive(id, subscription));
  }

  static isWill(id: number): boolean {
    return id >= IDS_FROM;
  }

  #guarded(act: () => void): void {
    try {
      act();
    } catch (cause) {
      this.#parts.world.fail(cause);
    }
  }
}

/** Beyond those of all publishers. */
const IDS_FROM = 2_000_000_000;

function idOf(payload: Uint8Array): number {
  return Number.parseInt(Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString('latin1', 0, 20), 10);
}

interface WillOfClient {
  readonly id: number;
  /** 0: it is retained, and in no queue. */
  readonly queueId: number;
  readonly publisher: string;
  readonly sequence: number;
  readonly key: undefined;
  readonly topic: string;
  readonly qos: QoS;
  readonly expiryS: number;
  hasFired: boolean;
}

export interface WillTrailParts {
  world: SimWorld;
  draw: Draw;
  sessions: SessionCheck;
  queueCheck: QueueCheck;
  retained: RetainedCheck;
  /** Those that are there from beginning to end and keep every message. */
  queues: () => readonly { queueId: number; topicFilter: string }[];
  /** A gateway may die, or be out of the stores' reach. */
  mayLose: () => boolean;
}
