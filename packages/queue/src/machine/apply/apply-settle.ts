import type { Effect } from '../effects.ts';
import type { MachineState } from '../machine-state.ts';
import type { QueueState } from '../queue-state.ts';
import { IndexRow } from '../row/index-row.ts';
import { indexRowKeyOnce } from '../row/row-keys.ts';
import type { Rows } from '../row/rows.ts';
import { type ApplyReply, SETTLED } from './apply-reply.ts';
import { type SettleCursor, SettleOutcome } from './settle-cursor.ts';
import { releaseKey, settleRecord, writeBack } from './settle-record.ts';

/**
 * Consumers are done with records, or gave them back. Two leaders may settle the same record, and a client may repeat
 * itself: what is not live any more is counted as stale and changes nothing, so a command may be applied twice.
 */
export function applySettle(state: MachineState, data: Uint8Array, rows: Rows, effects: Effect[]): ApplyReply {
  const settlements = state.settlements;
  let stale = 0;
  settlements.reset(data);
  while (settlements.nextHead()) raiseHead(state, settlements.queueId, settlements.head);
  while (settlements.nextRow()) {
    const queue = state.queues.get(settlements.queueId);
    const value = queue === undefined ? undefined : rows.get(indexRowKeyOnce(settlements.queueId, settlements.rowBase));
    if (queue === undefined || value === undefined) {
      let missed = 0;
      while (settlements.nextRange()) missed += settlements.to - settlements.from;
      if (queue !== undefined) countStale(state, queue, missed);
      stale += missed;
      continue;
    }
    stale += settleRow(state, queue, new IndexRow(settlements.rowBase, value), rows, effects);
  }
  return stale === 0 ? SETTLED : { type: 'settled', stale };
}

function settleRow(state: MachineState, queue: QueueState, row: IndexRow, rows: Rows, effects: Effect[]): number {
  const settlements = state.settlements;
  const end = row.base + row.count;
  let stale = 0;
  while (settlements.nextRange()) {
    const to = Math.min(settlements.to, end);
    const done = settleRange(settlements, queue, row, to, rows);
    stale += settlements.to - settlements.from - done;
  }
  if (row.isChanged) {
    state.markDirty(queue);
    writeBack(state, queue, row, rows, effects);
  }
  if (queue.isRemoved && queue.depth === 0) state.forget(queue);
  countStale(state, queue, stale);
  return stale;
}

/** Returns how many records of the range were live. */
function settleRange(range: SettleCursor, queue: QueueState, row: IndexRow, to: number, rows: Rows): number {
  let done = 0;
  for (let offset = row.nextLive(range.from); offset !== -1 && offset < to; offset = row.nextLive(offset + 1)) {
    done++;
    if (range.outcome === SettleOutcome.RETURNED) {
      row.return(offset);
      queue.returned++;
      continue;
    }
    releaseKey(queue, row, offset, rows);
    settleRecord(queue, row, offset);
    if (range.outcome === SettleOutcome.ACCEPTED) queue.accepted++;
    else queue.expired++;
  }
  return done;
}

function raiseHead(state: MachineState, queueId: number, head: number): void {
  const queue = state.queues.get(queueId);
  if (queue === undefined || head <= queue.head || head > queue.tail) return;
  queue.head = head;
  state.markDirty(queue);
}

function countStale(state: MachineState, queue: QueueState, stale: number): void {
  if (stale === 0) return;
  queue.stale += stale;
  state.markDirty(queue);
}
