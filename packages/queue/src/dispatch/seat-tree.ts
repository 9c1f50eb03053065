/** Greater than any count of records held. */
const CLOSED = 0x7fff_ffff;

/**
 * Seats in join order, each closed or carrying a small number; answers "the first seat from here on with at most v"
 * in O(log n). A walk over the seats answers it too, but with 10,000 consumers of which one has room the walk is what
 * every record pays.
 *
 * A segment tree of minima: node 1 is the root, node i has children 2i and 2i + 1, the leaves are the seats.
 * @hotpath
 */
export class SeatTree {
  readonly #leaves: number;
  readonly #minima: Int32Array;

  constructor(seats: number) {
    let leaves = 1;
    while (leaves < seats) leaves *= 2;
    this.#leaves = leaves;
    this.#minima = new Int32Array(2 * leaves).fill(CLOSED);
  }

  /** The least number of all open seats; greater than any of them when none is open. */
  get least(): number {
    return this.#minima[1] as number;
  }

  set(seat: number, value: number): void {
    const minima = this.#minima;
    let node = seat + this.#leaves;
    minima[node] = value;
    while (node > 1) {
      const least = Math.min(minima[node] as number, minima[node ^ 1] as number);
      node >>= 1;
      if (minima[node] === least) return;
      minima[node] = least;
    }
  }

  close(seat: number): void {
    this.set(seat, CLOSED);
  }

  /** The first open seat after `after`, going round, whose number is at most `value`; -1 when there is none. */
  nextAtMost(value: number, after: number): number {
    const start = after + 1;
    const seat = start < this.#leaves ? this.#firstAtMost(value, start) : -1;
    return seat === -1 && start > 0 ? this.#firstAtMost(value, 0) : seat;
  }

  #firstAtMost(value: number, from: number): number {
    const minima = this.#minima;
    const leaves = this.#leaves;
    const bound = value < CLOSED ? value : CLOSED - 1;
    let node = from + leaves;
    // Up, until a subtree to the right of `from` holds one.
    while ((minima[node] as number) > bound) {
      while ((node & 1) === 1) node >>= 1;
      if (node === 0) return -1;
      node++;
    }
    // Down to its leftmost.
    while (node < leaves) {
      node *= 2;
      if ((minima[node] as number) > bound) node++;
    }
    return node - leaves;
  }
}
