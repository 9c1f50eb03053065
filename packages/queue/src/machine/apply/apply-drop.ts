import { decodeDropRows } from '../command/command-codec.ts';
import type { Effect } from '../effects.ts';
import type { MachineState } from '../machine-state.ts';
import { IndexRow } from '../row/index-row.ts';
import { indexRowKey } from '../row/row-keys.ts';
import type { Rows } from '../row/rows.ts';
import type { ApplyReply } from './apply-reply.ts';
import { releaseKey, settleRecord, writeBack } from './settle-record.ts';

/**
 * Retention, purge, overflow and the sweep of a removed queue are one command: the leader names rows, a bounded number
 * at a time, and every replica drops what is still live in them. A row that is gone already is passed over.
 */
export function applyDrop(state: MachineState, data: Uint8Array, rows: Rows, effects: Effect[]): ApplyReply {
  const { queueId, reason, rowBases, upperOffset } = decodeDropRows(data);
  const queue = state.queues.get(queueId);
  if (queue === undefined) return { type: 'dropped', count: 0 };
  let count = 0;
  for (let i = 0; i < rowBases.length; i++) {
    const rowBase = rowBases[i] as number;
    const value = rows.get(indexRowKey(queueId, rowBase));
    if (value === undefined) continue;
    const row = new IndexRow(rowBase, value);
    const end = i === rowBases.length - 1 && upperOffset !== undefined ? upperOffset : rowBase + row.count;
    for (let offset = row.nextLive(rowBase); offset !== -1 && offset < end; offset = row.nextLive(offset + 1)) {
      releaseKey(queue, row, offset, rows);
      settleRecord(queue, row, offset);
      queue.countDropped(reason);
      count++;
    }
    if (row.isChanged) writeBack(state, queue, row, rows, effects);
  }
  if (count > 0) {
    state.markDirty(queue);
    effects.push({ type: 'dropped', queueId });
  }
  if (queue.isRemoved && queue.depth === 0) state.forget(queue);
  return { type: 'dropped', count };
}
