import { assert } from '@sluice/common/assert';

/**
 * The appends under way to one follower, as a ring of their last indexes and sizes. It is the window of flow control: when
 * it is full, by number or by bytes, the leader waits for an answer. The ring grows to its capacity only when a follower
 * needs it, because most groups of a node are idle most of the time.
 */
export class Inflights {
  readonly #capacity: number;
  readonly #bytesMax: number;
  /** Last index and bytes of each, side by side. */
  #ring: Float64Array;
  #start = 0;
  #count = 0;
  #bytes = 0;

  constructor(capacity: number, bytesMax: number) {
    this.#capacity = capacity;
    this.#bytesMax = bytesMax;
    this.#ring = new Float64Array(2 * Math.min(capacity, 8));
  }

  get count(): number {
    return this.#count;
  }
  get bytes(): number {
    return this.#bytes;
  }

  full(): boolean {
    return this.#count === this.#capacity || (this.#count > 0 && this.#bytes >= this.#bytesMax);
  }

  add(lastIndex: number, sizeBytes: number): void {
    assert(!this.full(), 'the leader must not send into a full window');
    if (2 * this.#count === this.#ring.length) this.#grow();
    const at = (2 * (this.#start + this.#count)) % this.#ring.length;
    this.#ring[at] = lastIndex;
    this.#ring[at + 1] = sizeBytes;
    this.#bytes += sizeBytes;
    this.#count++;
  }

  /** An answer for `index` also answers every append that ended before it. */
  freeTo(index: number): void {
    while (this.#count > 0 && (this.#ring[2 * this.#start] as number) <= index) this.freeFirst();
  }

  freeFirst(): void {
    if (this.#count === 0) return;
    this.#bytes -= this.#ring[2 * this.#start + 1] as number;
    this.#start = (this.#start + 1) % (this.#ring.length / 2);
    this.#count--;
  }

  clear(): void {
    this.#start = 0;
    this.#count = 0;
    this.#bytes = 0;
  }

  #grow(): void {
    const grown = new Float64Array(2 * Math.min(this.#capacity, this.#ring.length));
    for (let i = 0; i < 2 * this.#count; i++) {
      grown[i] = this.#ring[(2 * this.#start + i) % this.#ring.length] as number;
    }
    this.#ring = grown;
    this.#start = 0;
  }
}
