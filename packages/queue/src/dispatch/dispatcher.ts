import { assert } from '@sluice/common/assert';
import type { ConsumerCredit } from './consumer-credit.ts';
import { type ConsumerStatistics, Consumers } from './consumers.ts';
import type { DeliveryRef } from './delivery-ref.ts';
import type { DispatchStrategyName } from './dispatch-strategy.ts';
import { type Assignment, type DispatcherOptions, REDELIVERY_MAX, SET_ASIDE_MAX } from './dispatcher-options.ts';
import { Inflight, type InflightRecord, type ReturnCause } from './inflight.ts';
import { RedeliveryQueue } from './redelivery-queue.ts';
import { Seating } from './seating.ts';
import { SetAside } from './set-aside.ts';

export type { DeliveryRef, DispatcherOptions, DispatchStrategyName, ReturnCause };

/** What `offer` says of a record that is kept for who takes it. */
export const SET_ASIDE = -1;

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
 *   again after `redispatchIntervalMs`;
 * - a consumer may say up to which size it takes records, and gets none that is larger. What nobody with room takes is set
 *   aside and holds up nothing behind it; once somebody with room takes it, it comes before anything fresh.
 *
 * Bounds: what is in flight is bounded by the windows; when `redeliveryMax` records wait, `offer` assigns nothing more
 * and rejecters are no longer passed over, so one consumer that takes nothing cannot fill memory with what another
 * refuses, and the queue still moves. When `setAsideMax` are set aside, the next one of these waits at the cursor.
 *
 * After `attach`, `setWindow`, `detach`, `accept`, `reject` and at `earliestDueMs` the caller drains: `nextRedelivery`
 * until undefined, then `offer` until 0. Every call costs O(log consumers + log waiting); a steady flow allocates
 * nothing but the caller's refs.
 * @hotpath
 */
export class Dispatcher {
  readonly #seating: Seating;
  readonly #consumers: Consumers;
  readonly #records = new Inflight();
  readonly #waiting = new RedeliveryQueue();
  readonly #aside = new SetAside();
  #redispatchIntervalMs: number;
  readonly #redeliveryMax: number;
  readonly #setAsideMax: number;
  readonly #assignment: Assignment;
  #acceptedSinceMs = 0;

  constructor(options: DispatcherOptions) {
    this.#seating = new Seating(options.strategy, options.prng);
    this.#redispatchIntervalMs = options.redispatchIntervalMs;
    this.#redeliveryMax = options.redeliveryMax ?? REDELIVERY_MAX;
    this.#setAsideMax = options.setAsideMax ?? SET_ASIDE_MAX;
    this.#consumers = new Consumers(this.#seating, options.consumerBytesMax ?? Number.POSITIVE_INFINITY);
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

  /** `consumerId` is a positive integer, not attached yet. `recordBytesMax`: it takes no larger record. */
  attach(consumerId: number, windowMax: number, recordBytesMax = Number.POSITIVE_INFINITY): void {
    const takenByAllBytes = this.#consumers.takenByAllBytes;
    this.#consumers.attach(consumerId, windowMax, recordBytesMax);
    if (this.#consumers.takenByAllBytes < takenByAllBytes) this.#setAsideLarge();
  }

  /** 0 pauses. Lowering it below what is held takes nothing back. Unknown consumers are ignored. */
  setWindow(consumerId: number, window: number): void {
    const consumer = this.#consumers.get(consumerId);
    if (consumer === undefined) return;
    this.#consumers.setWindow(consumer, window);
  }

  /** Acts on the next assignment: what it holds it keeps. Unknown consumers are ignored. */
  setRecordBytesMax(consumerId: number, recordBytesMax: number): void {
    const consumer = this.#consumers.get(consumerId);
    if (consumer === undefined || consumer.recordBytesMax === recordBytesMax) return;
    this.#consumers.setRecordBytesMax(consumer, recordBytesMax);
    this.#setAsideLarge();
  }

  /** There is a lower limit than before: of what waits, some is not for everybody any more. */
  #setAsideLarge(): void {
    if (this.#waiting.size === this.#waiting.delayedCount) return;
    for (const record of this.#records.all()) {
      if (record.holder !== undefined || record.delayed || record.isSetAside || !this.#isLarge(record.ref)) continue;
      this.#waiting.remove(record);
      this.#aside.add(record);
    }
  }

  /**
   * The consumer is gone: what it held waits for redelivery, due at once, its delivery count raised. `returned` is
   * emptied and filled with those refs by offset; superseded ones are forgotten instead. Unknown consumers return none.
   */
  detach(consumerId: number, returned: DeliveryRef[]): void {
    returned.length = 0;
    const consumer = this.#consumers.get(consumerId);
    if (consumer === undefined) return;
    this.#consumers.detach(consumer);
    for (let record = consumer.oldest; record !== undefined; record = consumer.oldest) {
      consumer.release(record);
      if (record.superseded) {
        this.#records.remove(record);
        continue;
      }
      record.ref.deliveryCount++;
      record.cause = 'detached';
      this.#waitForAnybody(record);
      returned.push(record.ref);
    }
    returned.sort(ascendingOffset);
  }

  /** Free places over all consumers. `offer` may still refuse: see `redeliveryMax`. */
  room(): number {
    return this.#consumers.room;
  }

  /**
   * Assigns a fresh record, one that this dispatcher does not have; keeps `ref`. Returns the consumer's id, `SET_ASIDE` when
   * none of those with room takes it and the caller's cursor goes on, or 0 when it stays where it is.
   */
  offer(ref: DeliveryRef, nowMs: number): number {
    if (ref.sizeBytes > this.#consumers.takenByAllBytes) return this.#offerLarge(ref, nowMs);
    if (this.#waiting.size >= this.#redeliveryMax) return 0;
    const consumer = this.#seating.pick();
    if (consumer === undefined) return 0;
    this.#consumers.hold(consumer, this.#records.add(ref), nowMs);
    return consumer.consumerId;
  }

  #offerLarge(ref: DeliveryRef, nowMs: number): number {
    if (this.#consumers.room === 0 || this.#aside.size >= this.#setAsideMax) return 0;
    if (this.#waiting.size >= this.#redeliveryMax) return 0;
    const consumer = this.#consumers.pickFor(ref.sizeBytes, undefined);
    const record = this.#records.add(ref);
    if (consumer !== undefined) {
      this.#consumers.hold(consumer, record, nowMs);
      return consumer.consumerId;
    }
    record.cause = 'unsent';
    this.#aside.add(record);
    return SET_ASIDE;
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
    else if (record.holder !== undefined) this.#consumers.release(record);
    else {
      this.#withdraw(record);
      record.rejecter = undefined;
    }
    this.#consumers.hold(consumer, record, nowMs);
  }

  /** Assigns the lowest due offset that a consumer with room may take. The result is overwritten by the next call. */
  nextRedelivery(nowMs: number): Assignment | undefined {
    if (this.redeliveryCount === 0 || this.#consumers.room === 0) return undefined;
    this.#releaseDelayed(nowMs);
    let assigned: InflightRecord | undefined;
    if (this.#aside.size > 0) {
      assigned = this.#assignAside(nowMs, this.#waiting.first()?.ref.offset ?? Number.POSITIVE_INFINITY);
    }
    assigned ??= this.#assignWaiting(nowMs);
    if (assigned === undefined && this.#aside.size > 0) assigned = this.#assignAside(nowMs, Number.POSITIVE_INFINITY);
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
    this.#consumers.release(record);
    this.#records.remove(record);
    return record.ref;
  }

  /** It was never sent, and never will be: the place of its consumer is free again. Stale is fine. */
  unassign(consumerId: number, offset: number): void {
    const record = this.#heldBy(consumerId, offset);
    if (record === undefined) return;
    this.#consumers.release(record);
    this.#records.remove(record);
  }

  /**
   * It was not sent yet, and its consumer is about to go: it waits for redelivery, due at once, its delivery count as it was,
   * since nobody saw it. Stale is fine.
   */
  giveBack(consumerId: number, offset: number, sizeBytesMin = 0): boolean {
    const record = this.#heldBy(consumerId, offset);
    if (record === undefined) return false;
    this.#consumers.release(record);
    if (record.superseded) {
      this.#records.remove(record);
      return true;
    }
    if (record.ref.sizeBytes < sizeBytesMin) record.ref.sizeBytes = sizeBytesMin;
    record.cause = 'unsent';
    this.#waitForAnybody(record);
    return true;
  }

  /**
   * It turned out to be too large for its consumer, though not by the size that is known here: it waits for one that takes more,
   * its delivery count as it was. False: stale, or its consumer takes any.
   */
  tooLarge(consumerId: number, offset: number): boolean {
    const takenBytes = this.#consumers.get(consumerId)?.recordBytesMax ?? Number.POSITIVE_INFINITY;
    return takenBytes < Number.POSITIVE_INFINITY && this.giveBack(consumerId, offset, takenBytes + 1);
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
    this.#consumers.release(record);
    if (record.superseded) {
      this.#records.remove(record);
      return record.ref;
    }
    record.ref.deliveryCount++;
    record.cause = 'rejected';
    record.rejecter = rejecter;
    record.dueMs = nowMs + this.#redispatchIntervalMs;
    if (this.#passesOver(rejecter, record.ref)) this.#waitForOthers(record, rejecter);
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
    this.#withdraw(record);
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
    return this.#records.size - this.redeliveryCount;
  }

  /** Records given back and waiting, or set aside. */
  get redeliveryCount(): number {
    return this.#waiting.size + this.#aside.size;
  }

  /** Of these, those that nobody with room took for their size. */
  get setAsideCount(): number {
    return this.#aside.size;
  }

  /** Of these, those that nobody who is attached takes. */
  get tooLargeCount(): number {
    return this.#aside.size === 0 ? 0 : this.#aside.countLarger(this.#consumers.mostBytes);
  }

  /** A record was set aside that this consumer takes, and it has no room. */
  lacksRoom(consumerId: number): boolean {
    const consumer = this.#consumers.get(consumerId);
    return consumer !== undefined && consumer.room === 0 && this.#aside.leastBytes <= consumer.recordBytesMax;
  }

  /** The offsets and rows of those set aside, lowest first. */
  setAsideRefs(): DeliveryRef[] {
    return Array.from({ length: this.#aside.size }, (_, place) => this.#aside.at(place).ref);
  }

  /** Of these, those that rest after a rejection. */
  get delayedCount(): number {
    return this.#waiting.delayedCount;
  }

  get consumerCount(): number {
    return this.#consumers.count;
  }

  /** Records that consumers may hold together. */
  get windowTotal(): number {
    return this.#consumers.windowTotal;
  }

  /** Since when somebody holds the record that is held the longest; Infinity when nobody holds any. */
  get oldestHeldSinceMs(): number {
    return this.#consumers.oldestHeldSinceMs;
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
  consumers(): IterableIterator<ConsumerStatistics> {
    return this.#consumers.statistics();
  }

  /** Not every consumer takes it. */
  #isLarge(ref: DeliveryRef): boolean {
    return ref.sizeBytes > this.#consumers.takenByAllBytes;
  }

  #isFullFor(ref: DeliveryRef): boolean {
    return this.#isLarge(ref) ? this.#aside.size >= this.#setAsideMax : this.#waiting.size >= this.#redeliveryMax;
  }

  /** Whether what `rejecter` rejected is kept for others. */
  #passesOver(rejecter: ConsumerCredit, ref: DeliveryRef): boolean {
    return rejecter.attached && !this.#consumers.isAlone(rejecter, ref.sizeBytes) && !this.#isFullFor(ref);
  }

  #waitForAnybody(record: InflightRecord): void {
    record.rejecter = undefined;
    if (this.#isLarge(record.ref)) this.#aside.add(record);
    else this.#waiting.addForAnybody(record);
  }

  #waitForOthers(record: InflightRecord, rejecter: ConsumerCredit): void {
    record.rejecter = rejecter;
    if (this.#isLarge(record.ref)) this.#aside.add(record);
    else this.#waiting.addForOthers(record, rejecter);
  }

  /** Out of where it waits. */
  #withdraw(record: InflightRecord): void {
    if (record.isSetAside) this.#aside.remove(record);
    else this.#waiting.remove(record);
  }

  #heldBy(consumerId: number, offset: number): InflightRecord | undefined {
    const record = this.#records.get(offset);
    return record?.holder?.consumerId === consumerId ? record : undefined;
  }

  #releaseDelayed(nowMs: number): void {
    for (;;) {
      const record = this.#waiting.takeDelayedDue(nowMs);
      if (record === undefined) return;
      const rejecter = record.rejecter;
      if (rejecter !== undefined && this.#passesOver(rejecter, record.ref)) this.#waitForOthers(record, rejecter);
      else this.#waitForAnybody(record);
    }
  }

  /** The lowest of those given back that everybody takes. */
  #assignWaiting(nowMs: number): InflightRecord | undefined {
    const isAny = this.#seating.open > 1;
    const record = isAny ? this.#waiting.first() : this.#firstForOnly(nowMs);
    if (record === undefined) return undefined;
    const { rejecter } = record;
    // Two or more have room: whoever rejected the lowest record, somebody else can take it.
    const consumer = isAny && rejecter !== undefined ? this.#seating.pickOther(rejecter) : this.#seating.pick();
    assert(consumer !== undefined, 'a consumer with room was counted');
    this.#waiting.remove(record);
    return this.#redeliver(record, consumer, nowMs);
  }

  /** The lowest of those set aside, before `end`, that somebody with room takes. */
  #assignAside(nowMs: number, end: number): InflightRecord | undefined {
    const aside = this.#aside;
    const mostBytes = this.#consumers.mostOpenBytes;
    if (aside.leastBytes > mostBytes) return undefined;
    for (let place = 0; place < aside.size; place++) {
      const record = aside.at(place);
      const { sizeBytes, offset } = record.ref;
      if (offset >= end) return undefined;
      if (sizeBytes > mostBytes) continue;
      if (record.rejecter !== undefined && !this.#passesOver(record.rejecter, record.ref)) {
        record.rejecter = undefined;
        if (record.dueMs > nowMs) {
          aside.removeAt(place--);
          this.#waiting.addDelayed(record);
          continue;
        }
      }
      const consumer = this.#seating.pickFor(sizeBytes, record.rejecter);
      if (consumer === undefined) continue;
      aside.removeAt(place);
      return this.#redeliver(record, consumer, nowMs);
    }
    return undefined;
  }

  /** One has room: the lowest record that it did not reject; its own only if nobody else will ever take them. */
  #firstForOnly(nowMs: number): InflightRecord | undefined {
    const only = this.#seating.onlyOpen();
    let record = this.#waiting.firstFor(only);
    const rejectedSome = only.rejected !== undefined && only.rejected.records.size > 0;
    if (
      rejectedSome &&
      (this.#consumers.isAlone(only, 0) || (record === undefined && this.#waiting.size >= this.#redeliveryMax))
    ) {
      this.#waiting.delayRejectedBy(only);
      this.#releaseDelayed(nowMs);
      record = this.#waiting.firstFor(only);
    }
    return record;
  }

  #redeliver(record: InflightRecord, consumer: ConsumerCredit, nowMs: number): InflightRecord {
    record.rejecter = undefined;
    this.#consumers.hold(consumer, record, nowMs);
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
  | 'tooLargeCount'
  | 'acceptedMsOf'
>;
