import { expect, test } from '@jest/globals';
import type { QueueState } from '@sluice/queue/machine/queue-state';
import { RecordBatchBuilder } from '@sluice/queue/record/record-batch-builder';
import { STREAM_ID_MIN } from '@sluice/queue/session/stream-id';
import { plainRecord } from '../../../../test/harness/plain-record.ts';
import { EntryDemand } from '../../src/dispatch/entry-demand.ts';

const BYTES_MAX = 1_000;

/** Of a hundred records of fifty bytes each: more than memory holds. */
const FULL = { head: 0, tail: 100, depth: 100, depthBytes: 5_000, isLastValue: false };

function demandOf(queues: Record<number, Partial<QueueState>>, offsets: Record<number, number> = {}): EntryDemand {
  const state = (queueId: number) => queues[queueId] as QueueState | undefined;
  return new EntryDemand({ state, nextOffset: (queueId) => offsets[queueId] }, BYTES_MAX);
}

/** A record for each of these, which are its targets. */
function batchOf(...records: number[][]): Uint8Array {
  const builder = new RecordBatchBuilder();
  for (const queueIds of records) {
    const targets = queueIds.map((queueId) => ({ queueId, key: undefined }));
    builder.add(plainRecord(targets));
  }
  return builder.finish();
}

test('of a queue that is further behind than memory holds new entries are not wanted, whoever is there to take them', () => {
  expect(demandOf({ 1: FULL }).isWanted(batchOf([1]))).toBe(false);
  expect(demandOf({ 1: FULL }, { 1: 79 }).isWanted(batchOf([1], [1]))).toBe(false);
});

test('once it has caught up that far they are, with what is handed out and not answered still stored', () => {
  expect(demandOf({ 1: FULL }, { 1: 80 }).isWanted(batchOf([1]))).toBe(true);
  expect(demandOf({ 1: FULL }, { 1: 100 }).isWanted(batchOf([1]))).toBe(true);
});

test('a queue that holds little is near, however many were settled out of order since its first', () => {
  const queues = { 1: { ...FULL, depth: 20, depthBytes: 1_000 } };
  expect(demandOf(queues).isWanted(batchOf([1]))).toBe(true);
});

test('one queue of an entry that is near decides, wherever in it', () => {
  const demand = demandOf({ 1: FULL, 2: FULL, 3: FULL }, { 3: 99 });
  expect(demand.isWanted(batchOf([1], [1, 2], [2]))).toBe(false);
  expect(demand.isWanted(batchOf([1], [1, 2, 3]))).toBe(true);
  expect(demand.isWanted(batchOf([1], [2], [3]))).toBe(true);
});

test('values of keys and streams of sessions are wanted in no order of a backlog', () => {
  expect(demandOf({ 1: { ...FULL, isLastValue: true } }).isWanted(batchOf([1]))).toBe(true);
  expect(demandOf({ [STREAM_ID_MIN]: FULL }).isWanted(batchOf([STREAM_ID_MIN]))).toBe(true);
});
