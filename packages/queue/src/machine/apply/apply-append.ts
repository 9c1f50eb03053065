import { assert } from '@sluice/common/assert';
import type { Effect } from '../effects.ts';
import type { MachineState } from '../machine-state.ts';
import type { QueueState } from '../queue-state.ts';
import { encodeEntryRow } from '../row/entry-row.ts';
import { IndexRow } from '../row/index-row.ts';
import type { IndexRowBuilder } from '../row/index-row-builder.ts';
import { decodeKeyRow, encodeKeyRow, type KeyRow } from '../row/key-row.ts';
import {
  decodePublisherRow,
  encodePublisherRow,
  isTaken,
  type PublisherRow,
  raiseFloor,
} from '../row/publisher-row.ts';
import { entryRowKeyOnce, indexRowKeyOnce, keyRowKey, publisherRowKey } from '../row/row-keys.ts';
import type { Rows } from '../row/rows.ts';
import { APPENDED, type ApplyReply, type Refusal, type RefusalCode } from './apply-reply.ts';
import { settleRecord, writeBack } from './settle-record.ts';

/**
 * A record batch: each queue takes its records in slot order and gives them the next offsets; one index row a queue
 * says where they are. Limits with the policy `refuse` are exact here, where all appends stand in one order: the record
 * is refused for that queue alone. With `drop_oldest` it is taken, and the host is told that the queue is too long.
 *
 * In a last-value queue a record supersedes the live one with its key, in the same step, also one of the same batch, so
 * no replica ever holds two live values of a key. That replaces and does not grow the queue, except by the difference
 * in bytes. A record without a key is kept as in a regular queue.
 *
 * In a queue that erases, an empty payload with a key ends the key's value and is not kept: what deletes must not stay.
 *
 * A numbered batch that is in the log already, or has come before its turn, stores nothing (`producers`). A record that
 * says which exchange of its publisher it is goes into each queue once, whichever batches bring it (`publisher-row`).
 */
export function applyAppend(
  state: MachineState,
  index: number,
  data: Uint8Array,
  rows: Rows,
  effects: Effect[],
): ApplyReply {
  const records = state.records;
  let refused: Refusal[] | undefined;
  records.reset(data);
  const { origin } = records;
  if (origin !== undefined) {
    const known = state.producers.meet(origin, index);
    if (known !== undefined) {
      effects.push({ type: 'entry-dead', index, bytes: data.length });
      return known;
    }
  }
  while (records.next()) {
    if (records.exchangeNumber !== 0) {
      refused = takeOnce(state, index, rows, effects, refused);
      continue;
    }
    while (records.nextTarget()) {
      const queue = state.queues.get(records.queueId);
      const code = queue === undefined ? 'queue-unknown' : take(state, queue, index, rows, effects);
      if (code === undefined) continue;
      if (refused === undefined) refused = [];
      refused.push({ slot: records.slot, queueId: records.queueId, code });
    }
  }
  finishRows(state, index, data.length, rows, effects);
  if (origin !== undefined) state.producers.stored(origin, index, refused);
  return refused === undefined ? APPENDED : { type: 'appended', refused };
}

/** The record the cursor stands on, for those of its queues that have not taken it before. */
function takeOnce(
  state: MachineState,
  index: number,
  rows: Rows,
  effects: Effect[],
  refusedBefore: Refusal[] | undefined,
): Refusal[] | undefined {
  const { records } = state;
  const { slot, exchangeNumber: number } = records;
  const key = publisherRowKey(records.publisher);
  const value = rows.get(key);
  const publisher: PublisherRow =
    value === undefined ? { seenMs: 0, floor: 0, taken: new Map() } : decodePublisherRow(value);
  raiseFloor(publisher, records.exchangeFloor);
  let refused = refusedBefore;
  while (records.nextTarget()) {
    const { queueId } = records;
    const queue = state.queues.get(queueId);
    if (isTaken(publisher, number, queueId)) {
      if (queue !== undefined && !queue.isRemoved) state.open(queue).reject(slot);
      continue;
    }
    const code = queue === undefined ? 'queue-unknown' : take(state, queue, index, rows, effects);
    if (code === undefined) {
      const queueIds = publisher.taken.get(number);
      if (queueIds === undefined) publisher.taken.set(number, [queueId]);
      else queueIds.push(queueId);
      continue;
    }
    if (refused === undefined) refused = [];
    refused.push({ slot, queueId, code });
  }
  publisher.seenMs = state.nowMs;
  rows.put(key, encodePublisherRow(publisher));
  return refused;
}

/** The record the cursor stands on, for the queue of the target it stands on. */
function take(
  state: MachineState,
  queue: QueueState,
  index: number,
  rows: Rows,
  effects: Effect[],
): RefusalCode | undefined {
  if (queue.isRemoved) {
    queue.refused++;
    state.markDirty(queue);
    return 'queue-removed';
  }
  const records = state.records;
  const builder = state.open(queue);
  const sizeBytes = records.sizeBytes;
  const key = queue.isLastValue && records.keyLength >= 0 ? records.key() : undefined;
  const rowKey = key === undefined ? undefined : keyRowKey(queue.queueId, key);
  const older = rowKey === undefined ? undefined : liveValue(rowKey, rows);
  if (queue.erasesEmpty && rowKey !== undefined && records.isPayloadEmpty) {
    builder.reject(records.slot);
    if (older !== undefined) erase(queue, builder, older, rowKey, rows, effects);
    return undefined;
  }
  if (
    queue.overflow === 'refuse' &&
    queue.wouldExceed(older === undefined ? 1 : 0, growth(queue, sizeBytes, older, rows))
  ) {
    queue.refused++;
    builder.reject(records.slot);
    return 'queue-full';
  }
  const offset = queue.tail++;
  if (older !== undefined) supersede(queue, builder, older, rows, effects);
  if (rowKey !== undefined) {
    rows.put(rowKey, encodeKeyRow(builder.base, offset, index));
    if (older === undefined) queue.keyCount++;
  }
  builder.add(sizeBytes, records.expiresAtMs, key);
  queue.depth++;
  queue.depthBytes += sizeBytes;
  queue.published++;
  queue.publishedBytes += sizeBytes;
  return undefined;
}

function liveValue(rowKey: Uint8Array, rows: Rows): KeyRow | undefined {
  const value = rows.get(rowKey);
  return value === undefined ? undefined : decodeKeyRow(value);
}

function growth(queue: QueueState, sizeBytes: number, older: KeyRow | undefined, rows: Rows): number {
  if (older === undefined || queue.bytesMax === null) return sizeBytes;
  const builder = queue.open as IndexRowBuilder;
  if (older.rowBase === builder.base) return sizeBytes - builder.sizeBytesOf(older.offset);
  return sizeBytes - olderRow(queue, builder, older, rows).sizeBytesOf(older.offset);
}

function supersede(queue: QueueState, builder: IndexRowBuilder, older: KeyRow, rows: Rows, effects: Effect[]): void {
  if (older.rowBase === builder.base) {
    builder.settle(older.offset);
    queue.depth--;
    queue.depthBytes -= builder.sizeBytesOf(older.offset);
  } else {
    settleRecord(queue, olderRow(queue, builder, older, rows), older.offset);
  }
  queue.overwritten++;
  effects.push({ type: 'superseded', queueId: queue.queueId, offset: older.offset });
}

function erase(
  queue: QueueState,
  builder: IndexRowBuilder,
  older: KeyRow,
  rowKey: Uint8Array,
  rows: Rows,
  effects: Effect[],
): void {
  supersede(queue, builder, older, rows, effects);
  rows.delete(rowKey);
  queue.keyCount--;
}

/** Decoded once a batch, whatever the number of its records that are superseded. */
function olderRow(queue: QueueState, builder: IndexRowBuilder, older: KeyRow, rows: Rows): IndexRow {
  let row = builder.older.get(older.rowBase);
  if (row === undefined) {
    const value = rows.get(indexRowKeyOnce(queue.queueId, older.rowBase));
    assert(value !== undefined, 'a key row points at a live record');
    row = new IndexRow(older.rowBase, value);
    builder.older.set(older.rowBase, row);
  }
  return row;
}

function finishRows(state: MachineState, index: number, bytes: number, rows: Rows, effects: Effect[]): void {
  const touched = state.touched;
  let rowCount = 0;
  for (let i = 0; i < touched.length; i++) {
    if (((touched[i] as QueueState).open as IndexRowBuilder).liveCount > 0) rowCount++;
  }
  for (let i = 0; i < touched.length; i++) {
    const queue = touched[i] as QueueState;
    const builder = queue.open as IndexRowBuilder;
    state.markDirty(queue);
    if (builder.liveCount > 0) {
      const row = builder.encode(index, state.nowMs, rowCount === 1 ? bytes : 0);
      rows.create(indexRowKeyOnce(queue.queueId, builder.base), row);
    } else if (queue.head === builder.base) queue.head = queue.tail;
    for (const row of builder.older.values()) {
      if (row.isChanged) writeBack(state, queue, row, rows, effects);
    }
    if (builder.count === 0) continue;
    effects.push({ type: 'appended', queueId: queue.queueId, tail: queue.tail });
    if (queue.overflow === 'drop_oldest' && queue.isOverLimit)
      effects.push({ type: 'over-limit', queueId: queue.queueId });
  }
  if (rowCount > 0) {
    rows.create(entryRowKeyOnce(index), encodeEntryRow(rowCount, bytes));
    effects.push({ type: 'entry-live', index, bytes });
  }
  state.closeAll();
}
