import { expect, test } from '@jest/globals';
import { PlainMetrics } from '@sluice/common/metrics';
import { IndexRowBuilder } from '@sluice/queue/machine/index-row-builder';
import { decodeIndexRow } from '@sluice/queue/machine/offset-index';
import { RecordBatchBuilder } from '@sluice/queue/record/record-batch-builder';
import type { EntryLog } from '@sluice/storage/entry-log-contract';
import { plainRecord } from '../../../test/harness/plain-record.ts';
import { DispatchStep } from '../src/dispatch-step.ts';
import type { IndexReader } from '../src/index-reader.ts';
import { RecordReader } from '../src/record-reader.ts';

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

test('what was read ahead and pushed out before it was used is read alone, and nothing a third time', async () => {
  const asked: string[] = [];
  const read = new Map<number, number>();
  const entryLog = {
    readNear: async (_groupId: number, first: number, last: number) => {
      asked.push(`${first}-${last}`);
      const entries = [];
      for (let index = first; index <= last; index++) {
        read.set(index, (read.get(index) ?? 0) + 1);
        entries.push({ index, term: 1, kind: 0, data: batchOf(`entry ${index}`) });
      }
      return entries;
    },
  } as unknown as EntryLog;
  const records = new RecordReader({ entryLog, bytesMax: 100_000, metrics: new PlainMetrics() });
  const index = { recent: () => undefined } as unknown as IndexReader;
  const step = new DispatchStep({ queueId: 1, groupId: 1, index, records });
  const rows = Array.from({ length: 12 }, (_, i) => rowOf(i + 1));
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
