import { chainOf } from '../frame/frame-format.ts';
import { type GroupScalars, GroupState } from '../group/group-state.ts';
import type { RowColumns, SegmentRows } from '../group/row-columns.ts';
import { damaged } from '../log-errors.ts';
import type { SealedSegments } from '../segment/sealed-segments.ts';

/**
 * The contiguous log of one group from the rows of all segments: every index must be there, and each entry chained to
 * the one before it, from the last compacted one on.
 */
export async function rebuildWindow(
  directory: string,
  scalars: GroupScalars,
  sealed: SealedSegments,
  activeRows: SegmentRows,
): Promise<GroupState> {
  const { groupId, firstIndex, lastIndex } = scalars;
  const group = new GroupState(groupId);
  group.hardState = scalars.hardState;
  group.reset(firstIndex - 1, scalars.compactedTerm, scalars.compactedChain);
  if (lastIndex < firstIndex) return group;

  const window = new Window(firstIndex, lastIndex);
  for (const segment of sealed.values()) {
    const ranges = segment.index.get(groupId)?.ranges;
    const end = ranges?.[ranges.length - 1]?.last;
    if (end === undefined || end < firstIndex) continue;
    const rows = await sealed.rows(segment, groupId);
    if (rows !== undefined) window.take(rows, end);
  }
  const rows = activeRows.get(groupId);
  if (rows !== undefined) window.take(rows, lastIndex);

  let chain = scalars.compactedChain;
  for (let i = 0; i <= lastIndex - firstIndex; i++) {
    const index = firstIndex + i;
    if (window.held[i] === 0) throw damaged(directory, 0, `entry ${index} of group ${groupId} in one of the segments`);
    const term = window.terms[i] as number;
    const linked = chainOf(chain, term, index, window.dataCrcs[i] as number);
    chain = window.chains[i] as number;
    if (linked !== chain)
      throw damaged(directory, 0, `entry ${index} of group ${groupId} chained to the one before it`);
    group.push(term, window.sizes[i] as number, chain);
  }
  return group;
}

class Window {
  readonly #first: number;
  readonly #last: number;
  readonly held: Uint8Array;
  readonly terms: Float64Array;
  readonly sizes: Uint32Array;
  readonly dataCrcs: Uint32Array;
  readonly chains: Uint32Array;

  constructor(first: number, last: number) {
    const count = last - first + 1;
    this.#first = first;
    this.#last = last;
    this.held = new Uint8Array(count);
    this.terms = new Float64Array(count);
    this.sizes = new Uint32Array(count);
    this.dataCrcs = new Uint32Array(count);
    this.chains = new Uint32Array(count);
  }

  /** Rows up to `end`; later segments come later and win. */
  take(rows: RowColumns, end: number): void {
    for (let at = rows.lowerBound(this.#first); at < rows.length; at++) {
      const index = rows.indexAt(at);
      if (index > end || index > this.#last) return;
      const i = index - this.#first;
      this.held[i] = 1;
      this.terms[i] = rows.termAt(at);
      this.sizes[i] = rows.dataBytesAt(at);
      this.dataCrcs[i] = rows.dataCrcAt(at);
      this.chains[i] = rows.chainAt(at);
    }
  }
}
