/**
 * What a session has received of a stream: everything before `next`, and ranges behind it, because a client may be done
 * with the second message before the first. As many ranges as its window is long at most, so it stays small; the obvious
 * alternative, a row a message and session, is what streams are there to avoid.
 */
export class Cursor {
  next: number;
  /** Ascending, apart from each other and from `next`: `[from, to, …]`. */
  readonly ranges: number[];

  constructor(next: number, ranges: readonly number[] = []) {
    this.next = next;
    this.ranges = [...ranges];
  }

  isPassed(offset: number): boolean {
    if (offset < this.next) return true;
    const { ranges } = this;
    for (let i = 0; i < ranges.length && offset >= (ranges[i] as number); i += 2) {
      if (offset < (ranges[i + 1] as number)) return true;
    }
    return false;
  }

  /** Whether anything of it is new. */
  pass(from: number, to: number): boolean {
    let low = Math.max(from, this.next);
    if (low >= to) return false;
    const { ranges } = this;
    let first = 0;
    while (first < ranges.length && (ranges[first + 1] as number) < low) first += 2;
    let last = first;
    let high = to;
    while (last < ranges.length && (ranges[last] as number) <= high) {
      if ((ranges[last] as number) <= low && (ranges[last + 1] as number) >= high) return false;
      low = Math.min(low, ranges[last] as number);
      high = Math.max(high, ranges[last + 1] as number);
      last += 2;
    }
    if (low === this.next) {
      this.next = high;
      ranges.splice(first, last - first);
    } else ranges.splice(first, last - first, low, high);
    return true;
  }
}
