import type { InflightRecord } from './inflight.ts';

/**
 * Records that no consumer with room takes for their size, lowest offset first. Those behind them go on: at the head of a heap
 * by offset one of them would hold up all.
 *
 * They are looked through in order. With few limits the first that is looked at is the one: either somebody takes it, or what
 * the smallest of all needs is not there (`leastBytes`) and none is looked at.
 *
 * Bound: the dispatcher's (`setAsideMax`).
 * @hotpath
 */
export class SetAside {
  readonly #records: InflightRecord[] = [];
  /** NaN: to be found anew. */
  #leastBytes = Number.POSITIVE_INFINITY;

  get size(): number {
    return this.#records.length;
  }

  at(place: number): InflightRecord {
    return this.#records[place] as InflightRecord;
  }

  /** Of the smallest; infinite when there is none. */
  get leastBytes(): number {
    if (Number.isNaN(this.#leastBytes)) {
      this.#leastBytes = Number.POSITIVE_INFINITY;
      for (const { ref } of this.#records) if (ref.sizeBytes < this.#leastBytes) this.#leastBytes = ref.sizeBytes;
    }
    return this.#leastBytes;
  }

  add(record: InflightRecord): void {
    record.isSetAside = true;
    this.#records.splice(this.#placeOf(record.ref.offset), 0, record);
    if (record.ref.sizeBytes < this.#leastBytes) this.#leastBytes = record.ref.sizeBytes;
  }

  remove(record: InflightRecord): void {
    this.removeAt(this.#placeOf(record.ref.offset));
  }

  removeAt(place: number): void {
    const [record] = this.#records.splice(place, 1) as [InflightRecord];
    record.isSetAside = false;
    if (record.ref.sizeBytes === this.#leastBytes) this.#leastBytes = Number.NaN;
  }

  countLarger(bytes: number): number {
    let count = 0;
    for (const { ref } of this.#records) if (ref.sizeBytes > bytes) count++;
    return count;
  }

  /** Of the first one that is not below it. */
  #placeOf(offset: number): number {
    let low = 0;
    let high = this.#records.length;
    // Fresh ones come in their order.
    if (high > 0 && this.at(high - 1).ref.offset < offset) return high;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.at(middle).ref.offset < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
