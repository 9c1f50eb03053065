import { beforeEach, expect, test } from '@jest/globals';
import { PlainMetrics } from '@sluice/common/metrics';
import { IndexRowBuilder } from '@sluice/queue/machine/row/index-row-builder';
import { decodeIndexRow } from '@sluice/queue/machine/row/offset-index';
import { RecordBatchBuilder } from '@sluice/queue/record/record-batch-builder';
import type { EntryLog } from '@sluice/storage/entry-log-contract';
import { plainRecord } from '../../../../test/harness/plain-record.ts';
import { DispatchStep } from '../../src/dispatch/dispatch-step.ts';
import type { IndexReader } from '../../src/read/index-reader.ts';
import { RecordReader } from '../../src/read/record-reader.ts';

/** Of a queue with one record in each entry, at offset `entryIndex`. */
function rowOf(entryIndex: number) {
  const builder = new IndexRowBuilder();
  builder.reset(entryIndex);
  builder.add(10, 0, undefined);
  return decodeIndexRow(entryIndex, builder.encode(entryIndex, 1, 100));
}

function batchOf(text: string): Uint8Array {
  const builder = new RecordBatchBuilder();
  builder.add(plainRecord([{ queueId: 1, key: undefined }], { payload: Buffer.from(text) }));
  return builder.finish();
}

let asked: string[];
let read: Map<number, number>;
let answered: () => Promise<void>;
let records: RecordReader;
let step: DispatchStep;
const rows = Array.from({ length: 12 }, (_, i) => rowOf(i + 1));

beforeEach(() => {
  asked = [];
  read = new Map();
  answered = async () => {};
  const entryLog = {
    readNear: async (_groupId: number, first: number, last: number) => {
      asked.push(`${first}-${last}`);
      await answered();
      const entries = [];
      for (let index = first; index <= last; index++) {
        read.set(index, (read.get(index) ?? 0) + 1);
        entries.push({ index, term: 1, kind: 0, data: batchOf(`entry ${index}`) });
      }
      return entries;
    },
  } as unknown as EntryLog;
  records = new RecordReader({ entryLog, bytesMax: 100_000, metrics: new PlainMetrics() });
  const index = { recent: () => undefined } as unknown as IndexReader;
  step = new DispatchStep({ queueId: 1, groupId: 1, index, records });
});

function assign(row: ReturnType<typeof rowOf>): void {
  step.begin();
  step.assign(1, { offset: row.base, rowBase: row.base, deliveryCount: 1, sizeBytes: 10 }, row);
}

test('what is wanted next is read while consumers have what they got, once, and whoever needs it waits for that read', async () => {
  let release = (): void => {};
  answered = () => new Promise((resolve) => (release = resolve));
  step.lookAhead(rows.slice(0, 4), 3);
  // One at a time.
  step.lookAhead(rows, 100);
  expect(asked).toEqual(['1-4']);
  assign(rows[2] as (typeof rows)[0]);
  const found = step.find([]);
  release();
  await found;
  expect(step.assigned[0]?.record).toBeDefined();
  expect(asked).toEqual(['1-4']);
  // At hand from now on, and not read again; those beyond are for later.
  assign(rows[3] as (typeof rows)[0]);
  expect(step.findAtHand()).toBe(true);
  step.lookAhead(rows, 5);
  expect(asked).toEqual(['1-4']);
  step.lookAhead(rows, 6);
  expect(asked).toEqual(['1-4', '5-12']);
});

test('what cannot be read ahead is told to whoever needs it', async () => {
  answered = () => Promise.reject(new Error('the disk says no'));
  step.lookAhead(rows, 3);
  assign(rows[0] as (typeof rows)[0]);
  await expect(step.find([])).rejects.toThrow('the disk says no');
  answered = async () => {};
  await step.find([]);
  expect(step.assigned[0]?.record).toBeDefined();
});

test('what was read ahead and pushed out before it was used is read alone, and nothing a third time', async () => {
  for (const [i, row] of rows.entries()) {
    step.assign(1, { offset: row.base, rowBase: row.base, deliveryCount: 1, sizeBytes: 10 }, row);
    // Four rows are at hand at a time.
    await step.find(rows.slice(i + 1, i + 4));
    expect(Buffer.from(step.assigned[0]?.record as Uint8Array).includes(`entry ${row.base}`)).toBe(true);
    step.begin();
    records.forgetGroup(1);
  }
  expect(asked).toEqual(['1-4', '2-2', '3-3', '4-4', '5-8', '6-6', '7-7', '8-8', '9-12', '10-10', '11-11', '12-12']);
  expect(Math.max(...read.values())).toBe(2);
});
