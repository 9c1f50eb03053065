import type { InflightRecord } from './inflight.ts';
import type { RejectedRecords } from './redelivery-queue.ts';

/**
 * One consumer's credit: a window, a bound in bytes, and the records held against both, oldest first. Invariant: nothing
 * is assigned while held >= window or heldBytes >= bytesMax, so it holds less than one record more than that. The window
 * alone would bound nothing: a hundred records are twenty kilobytes or a gigabyte, and until they are answered they are
 * in somebody's memory. A window lowered below what is held takes nothing back; it only stops new records until enough are
 * settled.
 */
export class ConsumerCredit {
  readonly consumerId: number;
  window: number;
  /** The largest record it takes. */
  recordBytesMax: number;
  held = 0;
  heldBytes = 0;
  readonly #bytesMax: number;
  /** Its place in join order; moves when the seats are packed. */
  seat = -1;
  /** False from `detach` on; records waiting for redelivery may still name it as their rejecter. */
  attached = true;
  /** When it last acknowledged a record, by the caller's clock. */
  acceptedMs = Number.NEGATIVE_INFINITY;
  /** Held the longest; the others follow by `next`, in the order of their assignment. */
  oldest: InflightRecord | undefined = undefined;
  newest: InflightRecord | undefined = undefined;
  /** What it rejected and another consumer is to take; undefined until it first rejects. */
  rejected: RejectedRecords | undefined = undefined;

  constructor(consumerId: number, window: number, bytesMax: number, recordBytesMax = Number.POSITIVE_INFINITY) {
    this.recordBytesMax = recordBytesMax;
    this.#bytesMax = bytesMax;
    this.consumerId = consumerId;
    this.window = window;
  }

  get room(): number {
    return this.window > this.held && this.heldBytes < this.#bytesMax ? this.window - this.held : 0;
  }

  hold(record: InflightRecord, nowMs: number): void {
    record.holder = this;
    record.heldSinceMs = nowMs;
    record.previous = this.newest;
    record.next = undefined;
    if (this.newest === undefined) this.oldest = record;
    else this.newest.next = record;
    this.newest = record;
    this.held++;
    this.heldBytes += record.ref.sizeBytes;
  }

  release(record: InflightRecord): void {
    if (record.previous === undefined) this.oldest = record.next;
    else record.previous.next = record.next;
    if (record.next === undefined) this.newest = record.previous;
    else record.next.previous = record.previous;
    record.previous = undefined;
    record.next = undefined;
    record.holder = undefined;
    this.held--;
    this.heldBytes -= record.ref.sizeBytes;
  }
}
