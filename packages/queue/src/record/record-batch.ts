import { assert } from '@sluice/common/assert';
import { isInternalQueue } from '../machine/internal-queues.ts';
import type { BatchOrigin } from './batch-origin.ts';
import { RecordCursor } from './record-cursor.ts';
import { EncodedRecord } from './record-view.ts';

/** All records of a batch, in slot order. */
export function* iterateRecords(batch: Uint8Array): Generator<EncodedRecord, void, undefined> {
  const cursor = new RecordCursor();
  cursor.reset(batch);
  while (cursor.next()) yield new EncodedRecord(batch, cursor.start);
}

/**
 * Where the records that a queue took begin: the n-th of them is the n-th of the queue's index row. `rejectedSlots`
 * (ascending, from that row) target the queue but were refused by it. For readers of many records of one batch.
 */
export function recordPositions(batch: Uint8Array, queueId: number, rejectedSlots: readonly number[]): number[] {
  let positions: number[] = [];
  const cursor = new RecordCursor();
  cursor.reset(batch);
  let rejected = 0;
  while (cursor.next()) {
    if (rejectedSlots[rejected] === cursor.slot) {
      rejected++;
      continue;
    }
    while (cursor.nextTarget()) {
      if (cursor.queueId < queueId) continue;
      if (cursor.queueId !== queueId) break;
      // Kept for as long as the queue has nothing newer: an array that is pushed to from nothing takes room for seventeen.
      if (positions.length === 0) positions = [cursor.start];
      else positions.push(cursor.start);
      break;
    }
  }
  return positions;
}

/**
 * Where the records for each queue of the batch begin, whether it took them or not: as `recordPositions` without rejected
 * slots, for all queues in one walk. A batch for a thousand queues is walked a thousand times otherwise.
 */
export function positionsByQueue(batch: Uint8Array): Map<number, number[]> {
  const byQueue = new Map<number, number[]>();
  const cursor = new RecordCursor();
  cursor.reset(batch);
  while (cursor.next()) {
    let before = -1;
    while (cursor.nextTarget()) {
      if (cursor.queueId === before) continue;
      before = cursor.queueId;
      const positions = byQueue.get(before);
      if (positions === undefined) byQueue.set(before, [cursor.start]);
      else positions.push(cursor.start);
    }
  }
  return byQueue;
}

/** The n-th record of the batch that targets the queue and was not rejected by it. */
export function recordAt(
  batch: Uint8Array,
  queueId: number,
  n: number,
  rejectedSlots: readonly number[],
): EncodedRecord {
  const cursor = new RecordCursor();
  cursor.reset(batch);
  let rejected = 0;
  let left = n;
  while (cursor.next()) {
    if (rejectedSlots[rejected] === cursor.slot) {
      rejected++;
      continue;
    }
    while (cursor.nextTarget()) {
      if (cursor.queueId < queueId) continue;
      if (cursor.queueId === queueId && left-- === 0) return new EncodedRecord(batch, cursor.start);
      break;
    }
  }
  assert(false, 'an index row counts only records its entry holds');
}

/**
 * Reads every field of a batch that came over the wire. A leader calls it before it proposes: a committed batch that
 * no replica can apply stops the partition.
 *
 * @returns also the newest queue of users it is for; 0 when it is for none
 * @throws SluiceError `RECORD_BATCH_MALFORMED` or `BYTES_MALFORMED`
 */
export function checkRecordBatch(batch: Uint8Array): {
  count: number;
  queueIdMax: number;
  origin: BatchOrigin | undefined;
} {
  let queueIdMax = 0;
  const cursor = new RecordCursor();
  cursor.reset(batch);
  while (cursor.next()) {
    for (let left = cursor.targetCount; left > 0; left--) {
      cursor.nextTarget();
      if (cursor.queueId > queueIdMax && !isInternalQueue(cursor.queueId)) queueIdMax = cursor.queueId;
    }
    new EncodedRecord(batch, cursor.start).check();
  }
  return { count: cursor.count, queueIdMax, origin: cursor.origin };
}
