/**
 * Size and chain of each entry of a contiguous log: eight bytes an entry, pushed and cut at the end, dropped at the
 * front. Gives memory back when the log gets short, so a burst does not stay resident.
 */
const CAPACITY_MIN = 64;

export class WindowColumns {
  #sizes = new Uint32Array(CAPACITY_MIN);
  #chains = new Uint32Array(CAPACITY_MIN);
  #head = 0;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  dataBytes(at: number): number {
    return this.#sizes[this.#head + at] as number;
  }
  chain(at: number): number {
    return this.#chains[this.#head + at] as number;
  }

  push(dataBytes: number, chain: number): void {
    if (this.#head + this.#count === this.#sizes.length) {
      // Half free at the front: move down; otherwise double.
      this.#move(this.#count > this.#sizes.length / 2 ? this.#sizes.length * 2 : this.#sizes.length);
    }
    const at = this.#head + this.#count++;
    this.#sizes[at] = dataBytes;
    this.#chains[at] = chain;
  }

  cutTo(count: number): void {
    this.#count = Math.min(this.#count, count);
    this.#shrink();
  }

  dropFront(count: number): void {
    this.#head += count;
    this.#count -= count;
    this.#shrink();
  }

  #shrink(): void {
    const capacity = this.#sizes.length;
    if (capacity > CAPACITY_MIN && this.#count < capacity / 8) this.#move(Math.max(CAPACITY_MIN, capacity / 4));
  }

  #move(capacity: number): void {
    const end = this.#head + this.#count;
    const sizes = new Uint32Array(capacity);
    const chains = new Uint32Array(capacity);
    sizes.set(this.#sizes.subarray(this.#head, end));
    chains.set(this.#chains.subarray(this.#head, end));
    this.#sizes = sizes;
    this.#chains = chains;
    this.#head = 0;
  }
}
