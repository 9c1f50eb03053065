import { beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Refusal } from '../../src/machine/apply/apply-reply.ts';
import { encodeCommand } from '../../src/machine/command/command-codec.ts';
import type { QueueConfig } from '../../src/machine/command/commands.ts';
import { decodePublisherRow, encodePublisherRow } from '../../src/machine/row/publisher-row.ts';
import { RowTable } from '../../src/machine/row/row-keys.ts';
import type { RecordInput } from '../../src/record/record.ts';
import { checkRecordBatch, iterateRecords } from '../../src/record/record-batch.ts';
import { goldenLines, hexOf } from '../golden.ts';
import { batchOf, MachineHarness, record, target } from './machine-harness.ts';

let harness: MachineHarness;
beforeEach(() => {
  harness = new MachineHarness();
});

function configure(queueId: number, over: Partial<QueueConfig> = {}): void {
  const limits = { countMax: null, bytesMax: null, overflow: 'refuse' as const };
  const config = { queueId, version: 1, name: `q${queueId}`, isLastValue: false, ...limits, ...over };
  harness.turn([encodeCommand({ type: 'configure-queue', config })]);
}

/** Exchange `number` of `publisher`, with those below `floor` over. */
function brought(
  number: number,
  queueIds: number[],
  over: Partial<RecordInput> & { floor?: number } = {},
): RecordInput {
  const { floor = 1, ...rest } = over;
  const targets = queueIds.map((queueId) => target(queueId));
  return record(targets, { qos: 2, exchange: { number, floor }, payload: Uint8Array.of(number), ...rest });
}

function append(...records: RecordInput[]): readonly Refusal[] {
  const [applied] = harness.turn([batchOf(records)]);
  const reply = applied?.reply;
  if (reply?.type !== 'appended') throw new Error(reply?.type);
  return reply.refused;
}

const depth = (queueId: number): number => harness.machine.queue(queueId)?.depth ?? -1;

test('a batch without exchanges has none of the batch before', () => {
  configure(1);
  append(brought(5, [1]));
  expect(append(record([target(1)]))).toEqual([]);
  expect(append(record([target(1)], { publisher: 'other' }))).toEqual([]);
  expect(depth(1)).toBe(3);
  expect(harness.rowsOf(RowTable.PUBLISHER)).toHaveLength(1);
});

describe('an exchange', () => {
  test('is taken by each queue once, whichever batch brings it', () => {
    configure(1);
    configure(2);
    expect(append(brought(5, [1]))).toEqual([]);
    expect(append(brought(5, [1, 2]))).toEqual([]);
    expect(append(brought(6, [1]), brought(5, [1, 2]), brought(6, [1]))).toEqual([]);
    expect([depth(1), depth(2)]).toEqual([2, 1]);
    // Where its records are was not moved by those that were passed over.
    expect(harness.describeRows().filter((row) => row.startsWith('B'))).toEqual([
      expect.stringContaining('B 1@0+1 entry 3: '),
      expect.stringMatching(/B 1@1\+1 entry 5: .* rejected 1 2$/),
      expect.stringContaining('B 2@0+1 entry 4: '),
    ]);
  });

  test('is of one publisher: another has the same numbers', () => {
    configure(1);
    append(brought(5, [1]), brought(5, [1], { publisher: 'other' }));
    expect(depth(1)).toBe(2);
  });

  test('is tried again by a queue that refused it, and by no other', () => {
    configure(1, { countMax: 0 });
    configure(2);
    expect(append(brought(5, [1, 2]))).toMatchObject([{ slot: 0, queueId: 1, code: 'queue-full' }]);
    configure(1, { countMax: 10, version: 2 });
    expect(append(brought(5, [1, 2]))).toEqual([]);
    expect(append(brought(5, [1, 2]))).toEqual([]);
    expect([depth(1), depth(2)]).toEqual([1, 1]);
  });

  test('that is over is late, and never taken', () => {
    configure(1);
    configure(2);
    append(brought(5, [1]));
    append(brought(9, [1], { floor: 8 }));
    expect(append(brought(5, [1, 2]), brought(7, [1, 2]))).toEqual([]);
    expect(append(brought(8, [1]))).toEqual([]);
    expect([depth(1), depth(2)]).toEqual([3, 0]);
  });

  test('does not bring back a value that a newer one has replaced', () => {
    configure(1, { isLastValue: true });
    const valued = (number: number): RecordInput => ({ ...brought(number, []), targets: [target(1, 'k')] });
    append(valued(5));
    append(valued(6));
    expect(append(valued(5))).toEqual([]);
    expect(harness.describeRows().filter((row) => row.startsWith('K'))).toEqual([expect.stringContaining('-> 1 in')]);
  });

  test('is known after a restart; a record without one is taken each time', () => {
    configure(1);
    append(brought(5, [1]));
    harness.restart();
    append(brought(5, [1]), record([target(1)]), record([target(1)]));
    expect(depth(1)).toBe(3);
  });
});

test('queues take what a naive list of everything that was ever taken says', () => {
  const one = fc.record({
    number: fc.integer({ min: 1, max: 12 }),
    back: fc.nat(6),
    publisher: fc.constantFrom('a', 'ü'),
    queueIds: fc.uniqueArray(fc.integer({ min: 1, max: 3 }), { minLength: 1 }),
  });
  fc.assert(
    fc.property(fc.array(fc.array(one, { minLength: 1, maxLength: 5 }), { maxLength: 15 }), (batches) => {
      harness = new MachineHarness();
      for (const queueId of [1, 2, 3]) configure(queueId);
      const taken = new Set<string>();
      const floors = new Map<string, number>();
      for (const [i, batch] of batches.entries()) {
        append(
          ...batch.map(({ number, back, publisher, queueIds }) =>
            brought(number, queueIds, { publisher, floor: Math.max(1, number - back) }),
          ),
        );
        for (const { number, back, publisher, queueIds } of batch) {
          const floor = Math.max(floors.get(publisher) ?? 0, number - back, 1);
          floors.set(publisher, floor);
          if (number < floor) continue;
          for (const queueId of queueIds) taken.add(`${publisher} ${number} ${queueId}`);
        }
        if (i % 4 === 3) harness.restart();
      }
      for (const queueId of [1, 2, 3]) {
        expect(depth(queueId)).toBe([...taken].filter((each) => each.endsWith(` ${queueId}`)).length);
      }
      // What is over is not remembered.
      for (const { key, value } of harness.rowsOf(RowTable.PUBLISHER)) {
        const row = decodePublisherRow(value);
        expect(row.floor).toBe(floors.get(Buffer.from(key.subarray(1)).toString()));
        for (const number of row.taken.keys()) expect(number).toBeGreaterThanOrEqual(row.floor);
      }
    }),
    { numRuns: 200 },
  );
});

test('a publisher is forgotten when it was silent for long, and not by who is late', () => {
  configure(1);
  harness.nowMs = 5_000;
  append(brought(5, [1]), brought(6, [1], { publisher: 'ü' }));
  harness.nowMs = 9_000;
  append(brought(7, [1], { publisher: 'ü' }));
  const forget = (beforeMs: number): unknown =>
    harness.turn([encodeCommand({ type: 'forget-publishers', beforeMs, clientIds: ['p', 'ü', 'nobody'] })]);
  forget(5_000);
  expect(harness.rowsOf(RowTable.PUBLISHER)).toHaveLength(2);
  forget(9_000);
  expect(harness.rowsOf(RowTable.PUBLISHER).map(({ key }) => Buffer.from(key).toString())).toEqual(['Lü']);
  append(brought(5, [1]), brought(6, [1], { publisher: 'ü' }));
  expect(depth(1)).toBe(4);
});

test('rows and records have the bytes of the golden file', () => {
  const row = {
    seenMs: 1_700_000_000_000,
    floor: 300,
    taken: new Map([
      [300, [1, 2 ** 52]],
      [302, [7]],
    ]),
  };
  const batch = batchOf([brought(302, [1], { floor: 300, expiresAtMs: 2_000 }), record([target(1)])]);
  const forget = encodeCommand({ type: 'forget-publishers', beforeMs: 1_700_000_000_000, clientIds: ['a', 'ü'] });
  const lines = { publisher: hexOf(encodePublisherRow(row)), batch: hexOf(batch), forget: hexOf(forget) };
  expect(lines).toEqual(Object.fromEntries(goldenLines('exchanges-v5.hex')));
  expect(decodePublisherRow(encodePublisherRow(row))).toEqual(row);
  expect(checkRecordBatch(batch).count).toBe(2);
  expect([...iterateRecords(batch)].map(({ exchange }) => exchange)).toEqual([{ number: 302, floor: 300 }, undefined]);
});

test('a batch that does not say that it has exchanges has none', () => {
  const batch = batchOf([brought(302, [1])]);
  batch[10] = 0;
  expect(() => checkRecordBatch(batch)).toThrow(expect.objectContaining({ code: 'RECORD_BATCH_MALFORMED' }));
});
