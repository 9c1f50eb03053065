import type { ConsumerCredit } from './consumer-credit.ts';
import { type HeapItem, IndexedHeap } from './indexed-heap.ts';
import type { InflightRecord } from './inflight.ts';

function byOffset(a: InflightRecord, b: InflightRecord): boolean {
  return a.ref.offset < b.ref.offset;
}

function byDueTime(a: InflightRecord, b: InflightRecord): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.ref.offset < b.ref.offset);
}

function byFirstOffset(a: RejectedRecords, b: RejectedRecords): boolean {
  return (a.records.first() as InflightRecord).ref.offset < (b.records.first() as InflightRecord).ref.offset;
}

/** Due records that pass over the same consumer, or nobody. In the heap of groups while it holds any. */
export class RejectedRecords implements HeapItem {
  readonly rejecter: ConsumerCredit | undefined;
  readonly records = new IndexedHeap<InflightRecord>(byOffset);
  heapIndex = -1;

  constructor(rejecter: ConsumerCredit | undefined) {
    this.rejecter = rejecter;
  }
}

/**
 * Records given back, lowest offset first. One heap by offset would do if everybody could take everything; but when the
 * only consumer with room is the one that rejected the first hundred, each record would cost a walk past all of them.
 * So due records stand in a heap a rejecter, and those heaps in a heap by their first offset: the lowest record that
 * passes over X is the first of the first group, or of the second when the first is X's own.
 *
 * | state   | meaning                                             | leaves by                                |
 * |---------|-----------------------------------------------------|------------------------------------------|
 * | anybody | due, for every consumer                             | assignment, withdrawal                   |
 * | group   | due, for every consumer but its rejecter, if any    | the same; its rejecter is left alone     |
 * | delayed | rejected while nobody else was there to take it     | its time comes; withdrawal               |
 */
export class RedeliveryQueue {
  readonly #anybody = new RejectedRecords(undefined);
  readonly #groups = new IndexedHeap<RejectedRecords>(byFirstOffset);
  readonly #delayed = new IndexedHeap<InflightRecord>(byDueTime);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Those whose time has not come. */
  get delayedCount(): number {
    return this.#delayed.size;
  }

  /** When the first of the delayed is due; Infinity when none is. */
  get earliestDueMs(): number {
    return this.#delayed.first()?.dueMs ?? Number.POSITIVE_INFINITY;
  }

  addForAnybody(record: InflightRecord): void {
    this.#size++;
    record.rejecter = undefined;
    this.#enterGroup(record, this.#anybody);
  }

  /** For every consumer but `rejecter`. */
  addForOthers(record: InflightRecord, rejecter: ConsumerCredit): void {
    this.#size++;
    record.rejecter = rejecter;
    rejecter.rejected ??= new RejectedRecords(rejecter);
    this.#enterGroup(record, rejecter.rejected);
  }

  /** Not before `record.dueMs`. */
  addDelayed(record: InflightRecord): void {
    this.#size++;
    record.delayed = true;
    this.#delayed.push(record);
  }

  remove(record: InflightRecord): void {
    this.#size--;
    if (record.delayed) {
      record.delayed = false;
      this.#delayed.remove(record);
    } else {
      this.#leaveGroup(record);
    }
  }

  /** The lowest due offset of all. */
  first(): InflightRecord | undefined {
    return this.#groups.first()?.records.first();
  }

  /** The lowest due offset that does not pass over `consumer`. */
  firstFor(consumer: ConsumerCredit): InflightRecord | undefined {
    const group = this.#groups.first();
    if (group === undefined || group !== consumer.rejected) return group?.records.first();
    return this.#groups.second()?.records.first();
  }

  /** The next delayed record whose time has come, taken out; the caller adds it again where it belongs now. */
  takeDelayedDue(nowMs: number): InflightRecord | undefined {
    const record = this.#delayed.first();
    if (record === undefined || record.dueMs > nowMs) return undefined;
    this.remove(record);
    return record;
  }

  /** Nobody else can take what `consumer` rejected: it becomes due for anybody at the time noted when it came back. */
  delayRejectedBy(consumer: ConsumerCredit): void {
    for (let record = consumer.rejected?.records.first(); record; record = consumer.rejected?.records.first()) {
      this.remove(record);
      record.rejecter = undefined;
      this.addDelayed(record);
    }
  }

  #enterGroup(record: InflightRecord, group: RejectedRecords): void {
    record.group = group;
    group.records.push(record);
    if (group.heapIndex === -1) this.#groups.push(group);
    else if (group.records.first() === record) this.#groups.settle(group);
  }

  #leaveGroup(record: InflightRecord): void {
    const group = record.group as RejectedRecords;
    record.group = undefined;
    // A group is compared by its first record, so it leaves before that record does.
    if (group.records.size === 1) this.#groups.remove(group);
    const wasFirst = group.records.first() === record;
    group.records.remove(record);
    if (wasFirst && group.heapIndex !== -1) this.#groups.settle(group);
  }
}
