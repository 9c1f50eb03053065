import { describe, expect, test } from '@jest/globals';
import { AssertionFailed } from '@sluice/common/assert';
import { SluiceError } from '@sluice/common/errors';
import fc from 'fast-check';
import { plainRecord } from '../../../../test/harness/plain-record.ts';
import { CommandKind, stampCommand, stampOf } from '../../src/machine/command/command-header.ts';
import { isInternalQueue } from '../../src/machine/internal-queues.ts';
import { type BatchOrigin, writeBatchOrigin } from '../../src/record/batch-origin.ts';
import type { RecordInput } from '../../src/record/record.ts';
import {
  checkRecordBatch,
  iterateRecords,
  positionsByQueue,
  recordAt,
  recordPositions,
} from '../../src/record/record-batch.ts';
import { RecordBatchBuilder } from '../../src/record/record-batch-builder.ts';
import { BATCH_ORIGIN_AT, BATCH_RECORDS_MAX } from '../../src/record/record-format.ts';
import { EncodedRecord } from '../../src/record/record-view.ts';
import { goldenBytes, hexOf } from '../golden.ts';
import { arbitraryRecord } from './record-arbitrary.ts';

const plain: RecordInput = {
  targets: [{ queueId: 7, key: undefined }],
  topic: 'plant/line/7',
  payload: Buffer.from('on'),
  qos: 1,
  retain: false,
  publisher: 'device-1',
  publishedAtMs: 1_700_000_000_000,
  expiresAtMs: 0,
  properties: undefined,
};
const origin: BatchOrigin = { producer: 2 ** 53 - 2, sequence: 2 ** 33 + 5, after: 2 ** 33 + 3, answeredTo: 2 ** 33 };
const rich: RecordInput = {
  targets: [
    { queueId: 300, key: Buffer.from('') },
    { queueId: 7, key: undefined },
    { queueId: Number.MAX_SAFE_INTEGER, key: Buffer.from('k/ü') },
  ],
  topic: 'plant/öl',
  payload: new Uint8Array(0),
  qos: 2,
  retain: true,
  publisher: '',
  publishedAtMs: 0,
  expiresAtMs: Number.MAX_SAFE_INTEGER,
  properties: {
    payloadFormatIndicator: 1,
    contentType: 'text/plain',
    responseTopic: 'answers',
    correlationData: Uint8Array.of(0, 255),
    userProperties: ['b', '2', 'a', '1', 'b', '3'],
  },
};

function batchOf(records: readonly RecordInput[]): Uint8Array {
  const builder = new RecordBatchBuilder();
  for (const record of records) builder.add(record);
  return builder.finish();
}

/** What a view says, in the shape of what went in. */
function readBack(record: EncodedRecord): RecordInput {
  const { targets, topic, payload, qos, retain, publisher, publishedAtMs, expiresAtMs, properties, exchange } = record;
  const read = { targets, topic, payload, qos, retain, publisher, publishedAtMs, expiresAtMs, properties };
  return exchange === undefined ? read : { ...read, exchange };
}

function asWritten(record: RecordInput): RecordInput {
  return {
    ...record,
    payload: new Uint8Array(record.payload),
    targets: record.targets
      .map(({ queueId, key }) => ({ queueId, key: key === undefined ? undefined : new Uint8Array(key) }))
      .sort((a, b) => a.queueId - b.queueId),
  };
}

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof SluiceError) return error.code;
    throw error;
  }
  return 'none';
}

describe('a batch', () => {
  test('has the bytes of the golden file', () => {
    expect(hexOf(batchOf([plain, rich]))).toBe(hexOf(goldenBytes('record-batch-v1.hex')));
  });

  test('of the golden file can be read', () => {
    const records = [...iterateRecords(goldenBytes('record-batch-v1.hex'))];
    expect(records.map(readBack)).toEqual([asWritten(plain), asWritten(rich)]);
  });

  test('that is numbered has the bytes of its golden file, whatever it said when it was sent before', () => {
    const builder = new RecordBatchBuilder('numbered');
    for (const record of [plain, rich]) builder.add(record);
    const batch = builder.finish();
    writeBatchOrigin(batch, { ...origin, after: origin.sequence - 1, answeredTo: 0 });
    writeBatchOrigin(batch, origin);
    expect(hexOf(batch)).toBe(hexOf(goldenBytes('numbered-batch-v1.hex')));
    expect(checkRecordBatch(batch).origin).toEqual(origin);
    expect([...iterateRecords(batch)].map(readBack)).toEqual([asWritten(plain), asWritten(rich)]);
    expect(checkRecordBatch(goldenBytes('record-batch-v1.hex')).origin).toBeUndefined();
  });

  test('comes behind others, of somebody', () => {
    const builder = new RecordBatchBuilder('numbered');
    const numbered = (over: Partial<BatchOrigin>): Uint8Array => {
      builder.add(plain);
      const batch = builder.finish();
      writeBatchOrigin(batch, { ...origin, ...over });
      return batch;
    };
    expect(() => numbered({ after: origin.sequence })).toThrow(AssertionFailed);
    expect(() => numbered({ answeredTo: origin.sequence })).toThrow(AssertionFailed);
    expect(() => numbered({ producer: 0 })).toThrow(AssertionFailed);
    const edges: [number, number][] = [
      [BATCH_ORIGIN_AT, 8],
      [BATCH_ORIGIN_AT + 8, 8],
      [BATCH_ORIGIN_AT + 16, 4],
      [BATCH_ORIGIN_AT + 20, 4],
    ];
    for (const [at, length] of edges) {
      for (const byte of [0, 255]) {
        const batch = numbered({ sequence: 5, after: 3, answeredTo: 0 }).slice();
        batch.fill(byte, at, at + length);
        expect(codeOf(() => checkRecordBatch(batch))).toMatch(/_MALFORMED$/);
      }
    }
  });

  test('gives back any records as they were', () => {
    fc.assert(
      fc.property(fc.array(arbitraryRecord, { minLength: 1, maxLength: 5 }), (records) => {
        const batch = batchOf(records);
        const ids = records.flatMap(({ targets }) => targets.map(({ queueId }) => queueId));
        expect(checkRecordBatch(batch)).toEqual({
          count: records.length,
          queueIdMax: Math.max(0, ...ids.filter((id) => !isInternalQueue(id))),
        });
        const views = [...iterateRecords(batch)];
        expect(views.map(readBack)).toEqual(records.map(asWritten));
        // A delivery carries one record alone.
        expect(views.map((view) => readBack(new EncodedRecord(view.encoded)))).toEqual(records.map(asWritten));
        expect(views.map((view) => view.encoded.length)).toEqual(views.map((view) => view.sizeBytes));
      }),
      { numRuns: 300 },
    );
  });

  test('carries the stamp of its leader and nothing else changes', () => {
    const batch = batchOf([plain]);
    const before = hexOf(batch.subarray(10));
    stampCommand(batch, 1_700_000_000_123);
    expect(stampOf(batch)).toBe(1_700_000_000_123);
    expect(batch[0]).toBe(CommandKind.RECORD_BATCH);
    expect(hexOf(batch.subarray(10))).toBe(before);
  });

  test('finds the n-th record a queue took', () => {
    const to = (topic: string, ...queues: number[]): RecordInput => ({
      ...plain,
      topic,
      targets: queues.map((queueId) => ({ queueId, key: undefined })),
    });
    const batch = batchOf([to('a', 1), to('b', 2), to('c', 1, 2), to('d', 3, 1), to('e', 2), to('f', 1)]);
    const topics = (queueId: number, rejected: number[]): string[] =>
      recordPositions(batch, queueId, rejected).map((at) => new EncodedRecord(batch, at).topic);
    expect(topics(1, [])).toEqual(['a', 'c', 'd', 'f']);
    expect(topics(2, [])).toEqual(['b', 'c', 'e']);
    expect(topics(1, [0, 3])).toEqual(['c', 'f']);
    expect(topics(4, [])).toEqual([]);
    expect(positionsByQueue(batch)).toEqual(new Map([1, 2, 3].map((id) => [id, recordPositions(batch, id, [])])));
    expect(recordAt(batch, 1, 1, [0, 3]).topic).toBe('f');
    expect(recordAt(batch, 2, 2, []).topic).toBe('e');
    expect(() => recordAt(batch, 2, 3, [])).toThrow('an index row counts only records its entry holds');
  });
});

describe('the check of a batch from the wire', () => {
  const batch = batchOf([plain, rich]);

  test('finds any cut', () => {
    for (let length = 0; length < batch.length; length++) {
      expect(codeOf(() => checkRecordBatch(batch.subarray(0, length)))).toMatch(/_MALFORMED$/);
    }
    expect(codeOf(() => checkRecordBatch(Buffer.concat([batch, Buffer.alloc(1)])))).toBe('RECORD_BATCH_MALFORMED');
  });

  test('answers flipped bits with a typed error, or with a batch that can be read', () => {
    for (let bit = 0; bit < batch.length * 8; bit++) {
      const flipped = batch.slice();
      flipped[bit >>> 3] = (flipped[bit >>> 3] as number) ^ (1 << (bit & 7));
      const code = codeOf(() => checkRecordBatch(flipped));
      if (code !== 'none') expect(code).toMatch(/_MALFORMED$/);
      else for (const record of iterateRecords(flipped)) readBack(record);
    }
  });

  test.each([
    ['another kind', 0, 2],
    ['another version', 1, 2],
    ['unknown batch flags', 10, 2],
    ['no record', 14, 0],
    ['more records than it says', 14, 1],
    ['fewer records than it says', 14, 3],
    ['QoS 3', 19, 3],
    ['unknown record flags', 19, 0x21],
    ['no target', 28, 0],
    ['a queue id of 0', 29, 0],
    ['a key in a batch without keys', 30, 1],
  ])('refuses %s', (_what, at, value) => {
    const plainOnly = batchOf([plain, plain]);
    plainOnly[at] = value;
    expect(codeOf(() => checkRecordBatch(plainOnly))).toMatch(/_MALFORMED$/);
  });

  test('refuses targets that do not ascend', () => {
    const two = batchOf([{ ...plain, targets: [1, 2].map((queueId) => ({ queueId, key: undefined })) }]);
    expect(hexOf(two.subarray(28, 33))).toBe('0201000200');
    two[31] = 1;
    expect(codeOf(() => checkRecordBatch(two))).toBe('RECORD_BATCH_MALFORMED');
  });
});

describe('the builder', () => {
  test('copies payloads at once and never touches a finished batch again', () => {
    const builder = new RecordBatchBuilder();
    const socketBuffer = Buffer.from('first');
    builder.add({ ...plain, payload: socketBuffer });
    socketBuffer.fill('x');
    const first = builder.finish();
    const sum = hexOf(first);
    for (let round = 0; round < 2000; round++) {
      builder.add({ ...plain, payload: Buffer.from(`round ${round}`) });
      if (round % 7 === 0) builder.finish();
    }
    expect(hexOf(first)).toBe(sum);
    expect(Buffer.from(recordAt(first, 7, 0, []).payload).toString()).toBe('first');
  });

  test('grows within a batch and over batches of large payloads', () => {
    const builder = new RecordBatchBuilder();
    for (let round = 0; round < 4; round++) {
      const payloads = [10, 256 * 1024, 70_000, 1, 3 * 1024 * 1024].map((size, i) => Buffer.alloc(size, round * 8 + i));
      for (const [slot, payload] of payloads.entries()) expect(builder.add({ ...plain, payload })).toBe(slot);
      const sizeBytes = builder.sizeBytes;
      const batch = builder.finish();
      expect(batch.length).toBe(sizeBytes);
      expect(builder.count).toBe(0);
      const read = [...iterateRecords(batch)].map((record) => Buffer.from(record.payload));
      expect(read.every((payload, i) => payload.equals(payloads[i] as Buffer))).toBe(true);
    }
  });

  test('is full at the limit of the format', () => {
    const builder = new RecordBatchBuilder();
    while (!builder.isFull) builder.add(plain);
    expect(builder.count).toBe(BATCH_RECORDS_MAX);
    expect(() => builder.add(plain)).toThrow('a full batch is finished');
    expect(checkRecordBatch(builder.finish()).count).toBe(BATCH_RECORDS_MAX);
  });

  test.each<[string, Partial<RecordInput>]>([
    ['no target', { targets: [] }],
    ['a queue twice', { targets: [plain.targets[0], { queueId: 1, key: undefined }, plain.targets[0]] as never }],
    ['a queue id of 0', { targets: [{ queueId: 0, key: undefined }] }],
    ['a long key', { targets: [{ queueId: 1, key: new Uint8Array(65_536) }] }],
    ['a long topic', { topic: 'ü'.repeat(32_768) }],
    ['a long publisher', { publisher: 'x'.repeat(65_536) }],
    ['a negative time', { publishedAtMs: -1 }],
    ['a broken time', { expiresAtMs: 1.5 }],
    ['half a user property', { properties: { userProperties: ['a'] } }],
    ['long correlation data', { properties: { correlationData: new Uint8Array(65_536) } }],
  ])('refuses %s and keeps the batch as it was', (_what, wrong) => {
    const builder = new RecordBatchBuilder();
    builder.add(plain);
    expect(codeOf(() => builder.add({ ...plain, ...wrong }))).toBe('RECORD_INVALID');
    builder.add(rich);
    expect(hexOf(builder.finish())).toBe(hexOf(batchOf([plain, rich])));
  });

  test('takes the longest texts there are', () => {
    const topic = 'ü'.repeat(32_767);
    const record = { ...plain, topic, properties: { userProperties: [topic, 'x'.repeat(65_535)] } };
    expect([...iterateRecords(batchOf([record]))].map(readBack)).toEqual([asWritten(record)]);
  });
});

test('a large record has its memory for itself, and small ones before and after it are whole', () => {
  const builder = new RecordBatchBuilder();
  const sizes = [10, 300_000, 300_000, 10, 70_000, 10];
  const batches = sizes.map((size, i) => {
    builder.add(plainRecord([{ queueId: 1, key: undefined }], { payload: Buffer.alloc(size, i) }));
    return builder.finish();
  });
  for (const [i, batch] of batches.entries()) {
    const size = sizes[i] as number;
    expect(Buffer.from(recordAt(batch, 1, 0, []).payload).equals(Buffer.alloc(size, i))).toBe(true);
    if (size > 64 * 1024) expect(batch.buffer.byteLength).toBeLessThan(size + 1024);
  }
});

describe('a batch around the payload of its only record', () => {
  /** As a decoder leaves it: the payload at the end of a buffer, behind `roomBytes`. */
  function owned(payload: Uint8Array, roomBytes: number): Uint8Array {
    const bytes = new Uint8Array(roomBytes + payload.length).fill(0xee);
    bytes.set(payload, roomBytes);
    return bytes.subarray(roomBytes);
  }
  function finished(batch: Uint8Array): string {
    const bytes = batch.slice();
    stampCommand(bytes, 12_345);
    writeBatchOrigin(bytes, origin);
    return hexOf(bytes);
  }

  test('is byte for byte the batch that is built by copying, and lies in the buffer of the payload', () => {
    const builder = new RecordBatchBuilder('numbered');
    fc.assert(
      fc.property(arbitraryRecord, (record) => {
        const properties = record.properties;
        if (properties !== undefined) delete properties.correlationData;
        builder.add(record);
        const copied = finished(builder.finish());
        const payload = owned(record.payload, 10_000);
        const batch = builder.around({ ...record, payload, ownsBuffer: true }) as Uint8Array;
        expect(batch.buffer).toBe(payload.buffer);
        expect(finished(batch)).toBe(copied);
        expect([...payload]).toEqual([...record.payload]);
        // The builder is as empty as before.
        builder.add(record);
        expect(finished(builder.finish())).toBe(copied);
      }),
      { numRuns: 200 },
    );
  });

  test('is not made without room, in a buffer of somebody else, or over other parts of the record', () => {
    const builder = new RecordBatchBuilder('numbered');
    const payload = Buffer.from('image');
    const exact =
      (builder.around({ ...plain, payload: owned(payload, 500), ownsBuffer: true }) as Uint8Array).length - 5;
    expect(builder.around({ ...plain, payload: owned(payload, exact), ownsBuffer: true })).toBeDefined();
    const tight = owned(payload, exact - 1);
    expect(builder.around({ ...plain, payload: tight, ownsBuffer: true })).toBeUndefined();
    expect([...new Uint8Array(tight.buffer, 0, 8)]).toEqual(new Array(8).fill(0xee));
    expect(builder.around({ ...plain, payload: owned(payload, 500) })).toBeUndefined();
    const properties = { correlationData: Uint8Array.of(1) };
    expect(builder.around({ ...plain, payload: owned(payload, 500), ownsBuffer: true, properties })).toBeUndefined();
    expect(
      codeOf(() => builder.around({ ...plain, payload: owned(payload, 500), ownsBuffer: true, targets: [] })),
    ).toBe('RECORD_INVALID');
    // A key of a record that was not taken marks no later batch.
    const keyed = {
      ...plain,
      targets: [{ queueId: 7, key: Buffer.from('k') }],
      payload: tight,
      ownsBuffer: true as const,
    };
    expect(builder.around(keyed)).toBeUndefined();
    builder.add(plain);
    const other = new RecordBatchBuilder('numbered');
    other.add(plain);
    expect(finished(builder.finish())).toBe(finished(other.finish()));
  });
});
