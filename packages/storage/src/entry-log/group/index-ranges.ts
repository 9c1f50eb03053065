import type { RowColumns } from './row-columns.ts';

/**
 * Which indexes of one group a segment may hold, as at most `RANGES_MAX` ascending inclusive ranges: exact for a plain
 * run of appends, and with the nearest ranges joined where many single entries were moved in. It keeps the lookup of an
 * entry from loading the rows of every segment whose first and last index lie around it.
 */
const RANGES_MAX = 8;

export type IndexRanges = { first: number; last: number }[];

export function rangesOf(rows: RowColumns): IndexRanges {
  const ranges: IndexRanges = [];
  for (let at = 0; at < rows.length; at++) {
    const index = rows.indexAt(at);
    const open = ranges[ranges.length - 1];
    if (open !== undefined && open.last + 1 === index) open.last = index;
    else {
      ranges.push({ first: index, last: index });
      if (ranges.length > RANGES_MAX) joinNearest(ranges);
    }
  }
  return ranges;
}

function joinNearest(ranges: IndexRanges): void {
  let nearest = 1;
  let gapMin = Number.POSITIVE_INFINITY;
  for (let i = 1; i < ranges.length; i++) {
    const gap = (ranges[i]?.first as number) - (ranges[i - 1]?.last as number);
    if (gap < gapMin) {
      gapMin = gap;
      nearest = i;
    }
  }
  const [joined] = ranges.splice(nearest, 1);
  const left = ranges[nearest - 1];
  if (left !== undefined && joined !== undefined) left.last = joined.last;
}

/** Whether an index may be there; false is certain. */
export function mayHold(ranges: IndexRanges, index: number): boolean {
  return rangeEnd(ranges, index) >= index;
}

/** Last index of the range that `index` lies in; -1 for none. Rows beyond a range are superseded. */
export function rangeEnd(ranges: IndexRanges, index: number): number {
  for (let i = ranges.length - 1; i >= 0; i--) {
    const range = ranges[i];
    if (range !== undefined && range.first <= index) return index <= range.last ? range.last : -1;
  }
  return -1;
}

/** Drops everything from `index` on. */
export function cutRanges(ranges: IndexRanges, index: number): void {
  while (ranges.length > 0) {
    const range = ranges[ranges.length - 1];
    if (range === undefined || range.last < index) return;
    if (range.first < index) {
      range.last = index - 1;
      return;
    }
    ranges.pop();
  }
}
