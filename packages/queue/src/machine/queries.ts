import type { IndexRow } from './index-row.ts';
import type { QueueState } from './queue-state.ts';

/** What operators ask of a queue in one partition. */
export interface QueueFigures {
  depth: number;
  depthBytes: number;
  /** Since the oldest live record was appended; 0 for an empty queue. */
  oldestAgeMs: number;
  /** How far the oldest live record is behind the end; more than the depth where later ones were settled before it. */
  lag: number;
}

/** `firstRow` is the first index row at or behind `queue.head`; without it the age is not known and given as 0. */
export function queueFigures(queue: Readonly<QueueState>, firstRow: IndexRow | undefined, nowMs: number): QueueFigures {
  const isEmpty = queue.depth === 0;
  const first = isEmpty || firstRow === undefined ? -1 : firstRow.nextLive(firstRow.base);
  return {
    depth: queue.depth,
    depthBytes: queue.depthBytes,
    oldestAgeMs: first === -1 || firstRow === undefined ? 0 : Math.max(0, nowMs - firstRow.appendedAtMs),
    lag: isEmpty ? 0 : queue.tail - (first === -1 ? queue.head : first),
  };
}
