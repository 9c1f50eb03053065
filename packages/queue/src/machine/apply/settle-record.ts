import type { Effect } from '../effects.ts';
import type { MachineState } from '../machine-state.ts';
import type { QueueState } from '../queue-state.ts';
import type { IndexRow } from '../row/index-row.ts';
import { decodeKeyRow } from '../row/key-row.ts';
import { indexRowKeyOnce, keyRowKey } from '../row/row-keys.ts';
import type { Rows } from '../row/rows.ts';

/** Takes a live record out of its row and out of the queue's sums. Who calls counts why. */
export function settleRecord(queue: QueueState, row: IndexRow, offset: number): void {
  row.settle(offset);
  queue.depth--;
  queue.depthBytes -= row.sizeBytesOf(offset);
}

/** The key of a settled record has no live record any more, unless a newer value took it over. */
export function releaseKey(queue: QueueState, row: IndexRow, offset: number, rows: Rows): void {
  const key = row.keyOf(offset);
  if (key === undefined) return;
  const rowKey = keyRowKey(queue.queueId, key);
  const value = rows.get(rowKey);
  if (value === undefined || decodeKeyRow(value).offset !== offset) return;
  rows.delete(rowKey);
  queue.keyCount--;
}

/** After settlements: the row as it is now, or nothing when nothing in it is live. */
export function writeBack(state: MachineState, queue: QueueState, row: IndexRow, rows: Rows, effects: Effect[]): void {
  const rowKey = indexRowKeyOnce(queue.queueId, row.base);
  if (row.liveCount > 0) {
    rows.put(rowKey, row.encode());
    return;
  }
  rows.end(rowKey);
  if (row.base === queue.head) queue.head = row.base + row.count;
  if (queue.depth === 0) queue.head = queue.tail;
  state.releases.rowEnded(row, rows, effects);
}
