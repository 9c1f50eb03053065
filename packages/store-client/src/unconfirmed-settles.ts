import type { LateItem } from '@sluice/rpc/contract/consume';

/**
 * What clients accepted in one partition and no leader has said to be committed. An acknowledgement on its way when the
 * leader falls would be lost, and a finished job done again; so it is kept here, numbered, until it is confirmed, and
 * told to every leader that comes.
 *
 * A ring. Confirmations take milliseconds and a change of leader hands out nothing, so it stays short. Beyond
 * `SETTLES_MAX` the oldest is forgotten: should the leader fall just then, that message comes once more.
 * @hotpath
 */
export class UnconfirmedSettles {
  #ring: (LateItem | undefined)[] = new Array(CAPACITY_MIN).fill(undefined);
  /** Numbers of the oldest that is kept, and of the next that will come. */
  #first = 1;
  #next = 1;

  static readonly SETTLES_MAX = 16_384;

  /** The number of the last that came. */
  get last(): number {
    return this.#next - 1;
  }

  get size(): number {
    return this.#next - this.#first;
  }

  push(item: LateItem): void {
    if (this.size === this.#ring.length) this.#makeRoom();
    this.#ring[this.#next++ & (this.#ring.length - 1)] = item;
  }

  /** Everything up to this number is committed. */
  confirm(upTo: number): void {
    const end = Math.min(upTo, this.last);
    while (this.#first <= end) this.#ring[this.#first++ & (this.#ring.length - 1)] = undefined;
  }

  /** Oldest first. */
  items(): LateItem[] {
    const items: LateItem[] = [];
    for (let n = this.#first; n < this.#next; n++) items.push(this.#ring[n & (this.#ring.length - 1)] as LateItem);
    return items;
  }

  #makeRoom(): void {
    if (this.#ring.length === UnconfirmedSettles.SETTLES_MAX) {
      this.#first++;
      return;
    }
    const items = this.items();
    this.#ring = new Array(this.#ring.length * 2).fill(undefined);
    for (const [i, item] of items.entries()) this.#ring[(this.#first + i) & (this.#ring.length - 1)] = item;
  }
}

/** Powers of two, this and the bound. */
const CAPACITY_MIN = 64;
