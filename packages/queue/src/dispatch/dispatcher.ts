import { assert } from '@sluice/common/assert';
import type { Prng } from '@sluice/common/prng';
import { ConsumerCredit } from './consumer-credit.ts';
import type { DeliveryRef } from './delivery-ref.ts';
import type { DispatchStrategyName } from './dispatch-strategy.ts';
import { Inflight, type InflightRecord, type ReturnCause } from './inflight.ts';
import { RedeliveryQueue } from './redelivery-queue.ts';
import { Seating } from './seating.ts';

export type { DeliveryRef, DispatchStrategyName, ReturnCause };

/** Above what any sane set of consumers gives back at once; a record waiting costs some 300 bytes. */
const REDELIVERY_MAX = 4096;

export interface DispatcherOptions {
  strategy: DispatchStrategyName;
  prng: Prng;
  /** How long a record rests before a consumer that rejected it, and is alone, gets it again. */
  redispatchIntervalMs: number;
  /** From so many waiting on, no fresh record is assigned. */
  redeliveryMax?: number;
  /** From so many bytes held on, a consumer is assigned nothing more, whatever its window. Default: no bound. */
  consumerBytesMax?: number;
}

/** Who gets which record; the caller's until the next call. */
export interface Assignment {
  consumerId: number;
  ref: DeliveryRef;
  /** Why it is handed out once more. */
  cause: ReturnCause;
}

export interface ConsumerStatistics {
  consumerId: number;
  window: number;
  held: number;
  /** Since when it holds its oldest record, by the caller's clock; undefined when it holds none. */
  oldestHeldSinceMs: number | undefined;
}

/**
 * Decides which consumer of one group gets which record of one queue. Soft state of the partition's leader: a new
 * leader starts with an empty one, is told by gateways what their clients hold (`take`), and the rest is fresh again.
 *
 * The obvious way, handing each consumer its share of what was read, lets a slow worker hoard and starves whoever joins
 * late. Here a record is assigned one at a time and only to a consumer that holds less than its window, so:
 * - no consumer ever holds more than the window it had when its last record was assigned;
 * - a record has one holder, or waits for redelivery; nothing is lost when a consumer goes;
 * - what waits for redelivery is handed out by offset, before the caller moves its cursor (`nextRedelivery`, then
 *   `offer`);
 * - a record that was rejected passes over its rejecter while another consumer has a window. Someone alone gets it
 *   again after `redispatchIntervalMs`.
 *
 * Bounds: what is in flight is bounded by the windows; when `redeliveryMax` records wait, `offer` assigns nothing more
 * and rejecters are no longer passed over, so one consumer that takes nothing cannot fill memory with what another
 * refuses, and the queue still moves.
 *
 * After `attach`, `setWindow`, `detach`, `accept`, `reject` and at `earliestDueMs` the caller drains: `nextRedelivery`
 * until undefined, then `offer` until 0. Every call costs O(log consumers + log waiting); a steady flow allocates
 * nothing but the caller's refs.
 * @hotpath
 */
export class Dispatcher {
  readonly #seating: Seating;
  readonly #consumers = new Map<number, ConsumerCredit>();
  readonly #records = new Inflight();
  readonly #waiting = new RedeliveryQueue();
  #redispatchIntervalMs: number;
  readonly #redeliveryMax: number;
  readonly #consumerBytesMax: number;
  readonly #assignment: Assignment;
  #room = 0;
  #acceptedSinceMs = 0;
  /** Consumers whose window is not 0. */
  #willing = 0;

  constructor(options: DispatcherOptions) {
    this.#seating = new Seating(options.strategy, options.prng);
    this.#redispatchIntervalMs = options.redispatchIntervalMs;
    this.#redeliveryMax = options.redeliveryMax ?? REDELIVERY_MAX;
    this.#consumerBytesMax = options.consumerBytesMax ?? Number.POSITIVE_INFINITY;
    this.#assignment = {
      consumerId: 0,
      ref: { offset: 0, rowBase: 0, deliveryCount: 0, sizeBytes: 0 },
      cause: 'rejected',
    };
  }

  /** Acts on the next assignment; the turn of `round_robin` is kept. */
  setStrategy(strategy: DispatchStrategyName): void {
    this.#seating.setStrategy(strategy);
  }

  /** Acts on the next rejection. */
  setRedispatchInterval(redispatchIntervalMs: number): void {
    this.#redispatchIntervalMs = redispatchIntervalMs;
  }

  /** `consumerId` is a positive integer, not attached yet. */
  attach(consumerId: number, windowMax: number): void {
    assert(consumerId > 0, '0 stands for nobody');
    assert(!this.#consumers.has(consumerId), 'attached twice, a consumer would have two windows');
    const consumer = new ConsumerCredit(consumerId, windowMax, this.#consumerBytesMax);
    this.#consumers.set(consumerId, consumer);
    this.#room += consumer.room;
    if (windowMax > 0) this.#willing++;
    this.#seating.join(consumer);
  }

  /** 0 pauses. Lowering it below what is held takes nothing back. Unknown consumers are ignored. */
  setWindow(consumerId: number, window: number): void {
    const consumer = this.#consumers.get(consumerId);
    if (consumer === undefined) return;
    const room = consumer.room;
    if (consumer.window > 0) this.#willing--;
    if (window > 0) this.#willing++;
    consumer.window = window;
    this.#changed(consumer, room);
  }

  /**
   * The consumer is gone: what it held waits for redelivery, due at once, its delivery count raised. `returned` is
   * emptied and filled with those refs by offset; superseded ones are forgotten instead. Unknown consumers return none.
   */
  detach(consumerId: number, returned: DeliveryRef[]): void {
    returned.length = 0;
    const consumer = this.#consumers.get(consumerId);
    if (consumer === undefined) return;
    this.#consumers.delete(consumerId);
    this.#room -= consumer.room;
    if (consumer.window > 0) this.#willing--;
    this.#seating.leave(consumer, consumer.room > 0);
    consumer.attached = false;
    for (let record = consumer.oldest; record !== undefined; record = consumer.oldest) {
      consumer.release(record);
      if (record.superseded) {
        this.#records.remove(record);
        continue;
      }
      record.ref.deliveryCount++;
      record.cause = 'detached';
      this.#waiting.addForAnybody(record);
      returned.push(record.ref);
    }
    returned.sort(ascendingOffset);
  }

  /** Free places over all consumers. `offer` may still refuse: see `redeliveryMax`. */
  room(): number {
    return this.#room;
  }

  /**
   * Assigns a fresh record, one that this dispatcher does not have; keeps `ref`. Returns the consumer's id, or 0 when
   * nobody can take it: the caller's cursor stays where it is.
   */
  offer(ref: DeliveryRef, nowMs: number): number {
    if (this.#isFull) return 0;
    const consumer = this.#seating.pick();
    if (consumer === undefined) return 0;
    this.#hold(consumer, this.#records.add(ref), nowMs);
    return consumer.consumerId;
  }

  /**
   * A consumer holds this record already: a former leader handed it out, or this one on a channel that its gateway has
   * given up. Whoever had it here has it no more, and its count stays. The caller knows that it may (`holderOf`).
   */
  take(consumerId: number, ref: DeliveryRef, nowMs: number): void {
    const consumer = this.#consumers.get(consumerId);
    assert(consumer !== undefined, 'who holds a record is attached');
    let record = this.#records.get(ref.offset);
    if (record === undefined) record = this.#records.add(ref);
    else if (record.holder !== undefined) this.#release(record);
    else {
      this.#waiting.remove(record);
      record.rejecter = undefined;
    }
    this.#hold(consumer, record, nowMs);
  }

  /** Assigns the lowest due offset that a consumer with room may take. The result is overwritten by the next call. */
  nextRedelivery(nowMs: number): Assignment | undefined {
    if (this.#waiting.size === 0 || this.#room === 0) return undefined;
    this.#releaseDelayed(nowMs);
    const assigned = this.#seating.open > 1 ? this.#assignToAny(nowMs) : this.#assignToOnly(nowMs);
    if (assigned === undefined) return undefined;
    this.#assignment.consumerId = (assigned.holder as ConsumerCredit).consumerId;
    this.#assignment.ref = assigned.ref;
    this.#assignment.cause = assigned.cause;
    return this.#assignment;
  }

  /** When a record that rests becomes due; Infinity when none rests. */
  earliestDueMs(): number {
    return this.#waiting.earliestDueMs;
  }

  /** Consumed. Undefined means stale: this consumer does not hold it any more, and nothing is to be settled. */
  accept(consumerId: number, offset: number, nowMs: number): DeliveryRef | undefined {
    const record = this.#heldBy(consumerId, offset);
    if (record === undefined) return undefined;
    this.#acceptedSinceMs = record.heldSinceMs;
    (record.holder as ConsumerCredit).acceptedMs = nowMs;
    this.#release(record);
    this.#records.remove(record);
    return record.ref;
  }

  /** It was never sent, and never will be: the place of its consumer is free again. Stale is fine. */
  unassign(consumerId: number, offset: number): void {
    const record = this.#heldBy(consumerId, offset);
    if (record === undefined) return;
    this.#release(record);
    this.#records.remove(record);
  }

  /**
   * It was not sent yet, and its consumer is about to go: it waits for redelivery, due at once, its delivery count as it was,
   * since nobody saw it. Stale is fine.
   */
  giveBack(consumerId: number, offset: number): void {
    const record = this.#heldBy(consumerId, offset);
    if (record === undefined) return;
    this.#release(record);
    if (record.superseded) {
      this.#records.remove(record);
      return;
    }
    record.cause = 'unsent';
    this.#waiting.addForAnybody(record);
  }

  /** Since when its consumer held what `accept` returned last, by the caller's clock. */
  get acceptedSinceMs(): number {
    return this.#acceptedSinceMs;
  }

  /**
   * Not consumed: it waits for redelivery, its delivery count raised. A superseded one is forgotten; its ref comes back
   * all the same. Undefined means stale.
   */
  reject(consumerId: number, offset: number, nowMs: number): DeliveryRef | undefined {
    const record = this.#heldBy(consumerId, offset);
    if (record === undefined) return undefined;
    const rejecter = record.holder as ConsumerCredit;
    this.#release(record);
    if (record.superseded) {
      this.#records.remove(record);
      return record.ref;
    }
    record.ref.deliveryCount++;
    record.cause = 'rejected';
    record.rejecter = rejecter;
    record.dueMs = nowMs + this.#redispatchIntervalMs;
    if (this.#passesOver(rejecter)) this.#waiting.addForOthers(record, rejecter);
    else this.#waiting.addDelayed(record);
    return record.ref;
  }

  /**
   * The record is obsolete: superseded, expired, dropped or dead-lettered. If it waits it is forgotten ('withdrawn');
   * if a consumer holds it, it stays until it is settled and is not redelivered.
   */
  supersede(offset: number): 'withdrawn' | 'in-flight' | 'unknown' {
    const record = this.#records.get(offset);
    if (record === undefined) return 'unknown';
    if (record.holder !== undefined) {
      record.superseded = true;
      return 'in-flight';
    }
    this.#waiting.remove(record);
    this.#records.remove(record);
    return 'withdrawn';
  }

  /** Who holds it; 0 when nobody does and it waits for redelivery; undefined when it is not in flight. */
  holderOf(offset: number): number | undefined {
    const record = this.#records.get(offset);
    return record === undefined ? undefined : (record.holder?.consumerId ?? 0);
  }

  /** Whether a consumer holds it now; what waits for redelivery is held by nobody. */
  isHeld(offset: number): boolean {
    return this.#records.get(offset)?.holder !== undefined;
  }

  /** What a consumer holds, by offset. */
  holdings(consumerId: number): DeliveryRef[] {
    const refs: DeliveryRef[] = [];
    let record = this.#consumers.get(consumerId)?.oldest;
    for (; record !== undefined; record = record.next) refs.push(record.ref);
    return refs.sort(ascendingOffset);
  }

  /** Records held by consumers. */
  get inflight(): number {
    return this.#records.size - this.#waiting.size;
  }

  /** Records given back and waiting. */
  get redeliveryCount(): number {
    return this.#waiting.size;
  }

  /** Of these, those that rest after a rejection. */
  get delayedCount(): number {
    return this.#waiting.delayedCount;
  }

  get consumerCount(): number {
    return this.#consumers.size;
  }

  /** Records that consumers may hold together. */
  get windowTotal(): number {
    let total = 0;
    for (const { window } of this.#consumers.values()) total += window;
    return total;
  }

  /** Since when somebody holds the record that is held the longest; Infinity when nobody holds any. */
  get oldestHeldSinceMs(): number {
    let oldestMs = Number.POSITIVE_INFINITY;
    for (const { oldest } of this.#consumers.values()) {
      if (oldest !== undefined && oldest.heldSinceMs < oldestMs) oldestMs = oldest.heldSinceMs;
    }
    return oldestMs;
  }

  /** When this consumer last acknowledged a record, by the caller's clock; -Infinity when it never did. */
  acceptedMsOf(consumerId: number): number {
    return this.#consumers.get(consumerId)?.acceptedMs ?? Number.NEGATIVE_INFINITY;
  }

  /** Held or waiting, and handed out for at least the `deliveryMin`th time. */
  countDeliveredOften(deliveryMin: number): number {
    return this.#records.countDeliveredOften(deliveryMin);
  }

  /** In join order. */
  *consumers(): IterableIterator<ConsumerStatistics> {
    for (const consumer of this.#consumers.values()) {
      yield {
        consumerId: consumer.consumerId,
        window: consumer.window,
        held: consumer.held,
        oldestHeldSinceMs: consumer.oldest?.heldSinceMs,
      };
    }
  }

  get #isFull(): boolean {
    return this.#waiting.size >= this.#redeliveryMax;
  }

  /** Whether what `rejecter` rejected is kept for others. */
  #passesOver(rejecter: ConsumerCredit): boolean {
    return rejecter.attached && !this.#isAlone(rejecter) && !this.#isFull;
  }

  #isAlone(consumer: ConsumerCredit): boolean {
    return this.#willing === (consumer.window > 0 ? 1 : 0);
  }

  #heldBy(consumerId: number, offset: number): InflightRecord | undefined {
    const record = this.#records.get(offset);
    return record?.holder?.consumerId === consumerId ? record : undefined;
  }

  #hold(consumer: ConsumerCredit, record: InflightRecord, nowMs: number): void {
    const room = consumer.room;
    consumer.hold(record, nowMs);
    this.#changed(consumer, room);
  }

  #release(record: InflightRecord): void {
    const consumer = record.holder as ConsumerCredit;
    const room = consumer.room;
    consumer.release(record);
    this.#changed(consumer, room);
  }

  #changed(consumer: ConsumerCredit, roomBefore: number): void {
    this.#room += consumer.room - roomBefore;
    this.#seating.changed(consumer, roomBefore > 0);
  }

  #releaseDelayed(nowMs: number): void {
    for (;;) {
      const record = this.#waiting.takeDelayedDue(nowMs);
      if (record === undefined) return;
      const rejecter = record.rejecter;
      if (rejecter !== undefined && this.#passesOver(rejecter)) this.#waiting.addForOthers(record, rejecter);
      else this.#waiting.addForAnybody(record);
    }
  }

  /** Two or more have room: whoever rejected the lowest record, somebody else can take it. */
  #assignToAny(nowMs: number): InflightRecord | undefined {
    const record = this.#waiting.first();
    if (record === undefined) return undefined;
    const rejecter = record.rejecter;
    const consumer = rejecter === undefined ? this.#seating.pick() : this.#seating.pickOther(rejecter);
    return this.#redeliver(record, consumer, nowMs);
  }

  /** One has room: the lowest record that it did not reject; its own only if nobody else will ever take them. */
  #assignToOnly(nowMs: number): InflightRecord | undefined {
    const only = this.#seating.onlyOpen();
    let record = this.#waiting.firstFor(only);
    const rejectedSome = only.rejected !== undefined && only.rejected.records.size > 0;
    if (rejectedSome && (this.#isAlone(only) || (record === undefined && this.#isFull))) {
      this.#waiting.delayRejectedBy(only);
      this.#releaseDelayed(nowMs);
      record = this.#waiting.firstFor(only);
    }
    return record === undefined ? undefined : this.#redeliver(record, this.#seating.pick(), nowMs);
  }

  #redeliver(record: InflightRecord, consumer: ConsumerCredit | undefined, nowMs: number): InflightRecord {
    assert(consumer !== undefined, 'a consumer with room was counted');
    this.#waiting.remove(record);
    record.rejecter = undefined;
    this.#hold(consumer, record, nowMs);
    return record;
  }
}

function ascendingOffset(a: DeliveryRef, b: DeliveryRef): number {
  return a.offset - b.offset;
}

/** What it knows of its consumers and of what they hold, for figures. */
export type DispatchLoad = Pick<
  Dispatcher,
  | 'inflight'
  | 'consumerCount'
  | 'delayedCount'
  | 'windowTotal'
  | 'oldestHeldSinceMs'
  | 'countDeliveredOften'
  | 'acceptedMsOf'
>;
