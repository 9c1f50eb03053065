import { assert } from '@sluice/common/assert';

/**
 * The appends under way to one follower, as a ring of their last indexes. It is the window of flow control: when it is
 * full the leader waits for an answer. The ring grows to its capacity only when a follower needs it, because most
 * groups of a node are idle most of the time.
 */
export class Inflights {
  readonly #capacity: number;
  #ring: Float64Array;
  #start = 0;
  #count = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
    this.#ring = new Float64Array(Math.min(capacity, 8));
  }

  get count(): number {
    return this.#count;
  }

  full(): boolean {
    return this.#count === this.#capacity;
  }

  add(lastIndex: number): void {
    assert(!this.full(), 'the leader must not send into a full window');
    if (this.#count === this.#ring.length) this.#grow();
    this.#ring[(this.#start + this.#count) % this.#ring.length] = lastIndex;
    this.#count++;
  }

  /** An answer for `index` also answers every append that ended before it. */
  freeTo(index: number): void {
    while (this.#count > 0 && (this.#ring[this.#start] as number) <= index) this.freeFirst();
  }

  freeFirst(): void {
    if (this.#count === 0) return;
    this.#start = (this.#start + 1) % this.#ring.length;
    this.#count--;
  }

  clear(): void {
    this.#start = 0;
    this.#count = 0;
  }

  #grow(): void {
    const grown = new Float64Array(Math.min(this.#capacity, this.#ring.length * 2));
    for (let i = 0; i < this.#count; i++) {
      grown[i] = this.#ring[(this.#start + i) % this.#ring.length] as number;
    }
    this.#ring = grown;
    this.#start = 0;
  }
}
