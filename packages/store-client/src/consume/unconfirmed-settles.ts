import type { LateItem } from '@sluice/rpc/contract/consume';

/**
 * What clients accepted in one partition and no leader has said to be committed. An acknowledgement on its way when the
 * leader falls would be lost, and a finished job done again; so it is kept here, numbered, until it is confirmed, and
 * told to every leader that comes.
 *
 * A ring of numbers, so that an acknowledgement makes no object for it. Confirmations take milliseconds and a change of
 * leader hands out nothing, so it stays short. Beyond `SETTLES_MAX` the oldest is forgotten: should the leader fall just
 * then, that message comes once more.
 * @hotpath
 */
export class UnconfirmedSettles {
  /** Three numbers each: queue, base of its row, offset. */
  #ring = new Float64Array(CAPACITY_MIN * WIDTH);
  #capacity = CAPACITY_MIN;
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

  push(queueId: number, rowBase: number, offset: number): void {
    if (this.size === this.#capacity) this.#makeRoom();
    const at = (this.#next++ % this.#capacity) * WIDTH;
    this.#ring[at] = queueId;
    this.#ring[at + 1] = rowBase;
    this.#ring[at + 2] = offset;
  }

  /** Everything up to this number is committed. */
  confirm(upTo: number): void {
    this.#first = Math.max(this.#first, Math.min(upTo + 1, this.#next));
  }

  /** Oldest first. */
  items(): LateItem[] {
    const items: LateItem[] = [];
    for (let n = this.#first; n < this.#next; n++) {
      const [queueId, rowBase, offset] = this.#at(n) as unknown as [number, number, number];
      items.push({ queueId, rowBase, offset });
    }
    return items;
  }

  #at(n: number): Float64Array {
    const at = (n % this.#capacity) * WIDTH;
    return this.#ring.subarray(at, at + WIDTH);
  }

  #makeRoom(): void {
    if (this.#capacity === UnconfirmedSettles.SETTLES_MAX) {
      this.#first++;
      return;
    }
    const larger = new Float64Array(this.#ring.length * 2);
    for (let n = this.#first; n < this.#next; n++) larger.set(this.#at(n), (n % (this.#capacity * 2)) * WIDTH);
    this.#ring = larger;
    this.#capacity *= 2;
  }
}

const WIDTH = 3;
/** Doubles up to the bound. */
const CAPACITY_MIN = 64;
