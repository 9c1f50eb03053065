import { assert } from '@sluice/common/assert';
import type { ConsumerCredit } from './consumer-credit.ts';
import type { DeliveryRef } from './delivery-ref.ts';
import type { HeapItem } from './indexed-heap.ts';
import type { RejectedRecords } from './redelivery-queue.ts';

/**
 * Records kept for reuse, of all queues together: what one of them has just given up is near, and a spare one of each of ten
 * thousand queues is far. Beyond the bound they are left to the collector.
 */
const spares: InflightRecord[] = [];
const SPARES_MAX = 4096;

/** Why a record came back: its consumer refused it, or is gone. */
export type ReturnCause = 'rejected' | 'detached' | 'unsent';

/**
 * A record that was handed out and is not settled, or that nobody with room takes. It is in one of three places: held by a
 * consumer (`holder` set), waiting for redelivery (`heapIndex` >= 0), or set aside.
 */
export class InflightRecord implements HeapItem {
  ref: DeliveryRef;
  /** Doubly linked with what the same consumer holds. */
  holder: ConsumerCredit | undefined = undefined;
  previous: InflightRecord | undefined = undefined;
  next: InflightRecord | undefined = undefined;
  heldSinceMs = 0;
  /** While it waits for redelivery: why. */
  cause: ReturnCause = 'rejected';
  /** Its value is obsolete: when it is given back it is forgotten. */
  superseded = false;
  heapIndex = -1;
  /** The rejecter's records it waits among; undefined while it waits for its time, or for anybody. */
  group: RejectedRecords | undefined = undefined;
  /** Too large for every consumer with room. */
  isSetAside = false;
  /** While it waits among the delayed. */
  delayed = false;
  /** Who is to be passed over for as long as another consumer can take it. */
  rejecter: ConsumerCredit | undefined = undefined;
  /** When its rejecter may have it again if no other consumer can. */
  dueMs = 0;

  constructor(ref: DeliveryRef) {
    this.ref = ref;
  }
}

/**
 * Everything handed out and not settled, by offset. Its size is bounded by the sum of all windows plus the bound of the
 * redelivery queue; records are reused, so a steady flow allocates nothing.
 *
 * One that is alone stands beside the map, which is made by the second: a map that is emptied and filled again makes its
 * table anew each time, and a queue that has a message now and then would do nothing else. The map goes with its last one: a map
 * that has once outlived a full collection makes every table it grows and shrinks to among the old objects, where only the next
 * full collection finds it again.
 * @hotpath
 */
export class Inflight {
  #only: InflightRecord | undefined = undefined;
  #byOffset: Map<number, InflightRecord> | undefined = undefined;

  get size(): number {
    return (this.#byOffset === undefined ? 0 : this.#byOffset.size) + (this.#only === undefined ? 0 : 1);
  }

  get(offset: number): InflightRecord | undefined {
    if (this.#only?.ref.offset === offset) return this.#only;
    return this.#byOffset?.get(offset);
  }

  /** Records, held or waiting, that were handed out for at least the `deliveryMin`th time. */
  countDeliveredOften(deliveryMin: number): number {
    let count = this.#only !== undefined && this.#only.ref.deliveryCount >= deliveryMin ? 1 : 0;
    for (const { ref } of this.#byOffset?.values() ?? []) if (ref.deliveryCount >= deliveryMin) count++;
    return count;
  }

  *all(): IterableIterator<InflightRecord> {
    if (this.#only !== undefined) yield this.#only;
    yield* this.#byOffset?.values() ?? [];
  }

  add(ref: DeliveryRef): InflightRecord {
    assert(
      this.get(ref.offset) === undefined,
      'a record is offered once: two holders of one record could both settle it',
    );
    let record = spares.pop();
    if (record === undefined) record = new InflightRecord(ref);
    else record.ref = ref;
    if (this.size === 0) this.#only = record;
    else {
      this.#byOffset ??= new Map();
      this.#byOffset.set(ref.offset, record);
    }
    return record;
  }

  /** Forgets a record that is neither held nor waiting any more. */
  remove(record: InflightRecord): void {
    if (record === this.#only) this.#only = undefined;
    else if (this.#byOffset?.size === 1) this.#byOffset = undefined;
    else this.#byOffset?.delete(record.ref.offset);
    record.superseded = false;
    record.rejecter = undefined;
    if (spares.length < SPARES_MAX) spares.push(record);
  }
}
