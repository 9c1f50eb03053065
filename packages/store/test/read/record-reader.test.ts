import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from '@jest/globals';
import { PlainMetrics } from '@sluice/common/metrics';
import { RecordBatchBuilder } from '@sluice/queue/record/record-batch-builder';
import type { Entry } from '@sluice/raft/entry';
import type { EntryLog } from '@sluice/storage/entry-log-contract';
import { plainRecord } from '../../../../test/harness/plain-record.ts';
import { type ReadEntry, RecordReader } from '../../src/read/record-reader.ts';

function setUp(bytesMax: number) {
  const asked: number[] = [];
  let answer = async (index: number): Promise<Uint8Array | undefined> => Buffer.from(`entry ${index}`);
  const entryLog = {
    readNear: async (_groupId: number, first: number, last: number, bytesMax: number) => {
      asked.push(first);
      const entries: Entry[] = [];
      let bytes = 0;
      for (let index = first; index <= last; index++) {
        const data = await answer(index).catch((cause) => {
          if (index === first) throw cause;
          return undefined;
        });
        bytes += data?.length ?? 0;
        if (data === undefined || (entries.length > 0 && bytes > bytesMax)) break;
        entries.push({ index, term: 1, kind: 0, data });
      }
      return entries;
    },
  } as unknown as EntryLog;
  const metrics = new PlainMetrics();
  const reader = new RecordReader({ entryLog, bytesMax, metrics });
  const answerWith = (next: typeof answer): void => {
    answer = next;
  };
  return { reader, asked, answerWith };
}

const text = (entry: ReadEntry | undefined): string | undefined =>
  entry === undefined ? undefined : Buffer.from(entry.data).toString();

describe('entries in memory', () => {
  test('what was just written is there, until it is dead', () => {
    const { reader, asked } = setUp(1000);
    reader.remember(1, 7, Buffer.from('seven'));
    expect(text(reader.recent(1, 7))).toBe('seven');
    expect(reader.recent(2, 7)).toBeUndefined();
    reader.forget(1, 7);
    expect(reader.recent(1, 7)).toBeUndefined();
    reader.forget(1, 7);
    expect(asked).toEqual([]);
  });

  test('what is forgotten is kept alive by nobody, though what knew it lives on as old garbage for a while', () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as (options?: { type: 'minor' }) => void;
    const { reader } = setUp(Number.POSITIVE_INFINITY);
    const entryBytes = 64 * 1024;
    for (let index = 0; index < 20; index++) reader.remember(1, index, new Uint8Array(entryBytes));
    // What there is by now is old, and what becomes garbage of it is not found by the collections of young objects below.
    collect();
    collect();
    const before = process.memoryUsage().arrayBuffers;
    for (let index = 20; index < 420; index++) {
      reader.remember(1, index, new Uint8Array(entryBytes));
      reader.forget(1, index - 20);
      if (index % 20 === 0) collect({ type: 'minor' });
    }
    for (let i = 0; i < 3; i++) collect({ type: 'minor' });
    // The twenty that were there first are old garbage themselves.
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(60 * entryBytes);
  });

  test('the bound in bytes holds, the least recently used go first', () => {
    const { reader } = setUp(100);
    for (let index = 1; index <= 10; index++) reader.remember(1, index, Buffer.alloc(10));
    expect(reader.recent(1, 1)).toBeDefined();
    reader.remember(1, 11, Buffer.alloc(15));
    expect([1, 2, 3, 4].map((index) => reader.recent(1, index) !== undefined)).toEqual([true, false, false, true]);
  });

  test('what is larger than the bound, or comes twice, leaves the others alone', () => {
    const { reader } = setUp(100);
    reader.remember(1, 1, Buffer.alloc(60));
    reader.remember(1, 1, Buffer.alloc(60));
    reader.remember(1, 2, Buffer.alloc(101));
    reader.remember(1, 3, Buffer.alloc(40));
    expect([1, 2, 3].map((index) => reader.recent(1, index) !== undefined)).toEqual([true, false, true]);
  });

  test('a small entry does not keep the large block alive that it was written into', () => {
    const { reader } = setUp(1000);
    const block = Buffer.allocUnsafeSlow(64 * 1024);
    block.write('small');
    reader.remember(1, 1, block.subarray(0, 5));
    const kept = reader.recent(1, 1) as ReadEntry;
    expect(text(kept)).toBe('small');
    expect(kept.data.buffer.byteLength).toBeLessThan(1024);
  });
});

describe('entries on disk', () => {
  test('are read once for all who want them, and are then in memory', async () => {
    const { reader, asked } = setUp(1000);
    const all = await Promise.all([reader.read(1, 5), reader.read(1, 5), reader.read(1, 6)]);
    expect(all.map(text)).toEqual(['entry 5', 'entry 5', 'entry 6']);
    expect(asked).toEqual([5, 6]);
    expect(text(reader.recent(1, 5))).toBe('entry 5');
  });

  test('those that follow come with the first, as many as one read may bring', async () => {
    const { reader, asked } = setUp(1000);
    // An eighth of what is kept: 125 bytes.
    expect(text(await reader.read(1, 1, 100))).toBe('entry 1');
    const kept = Array.from({ length: 100 }, (_, i) => i + 1).filter((index) => reader.has(1, index));
    expect(kept).toEqual(Array.from({ length: 16 }, (_, i) => i + 1));
    expect(text(reader.recent(1, 16))).toBe('entry 16');
    expect(asked).toEqual([1]);
  });

  test('what all reads under way bring with the first is bounded: the others bring what is wanted, and no more', async () => {
    const { reader, asked, answerWith } = setUp(1000);
    let answer = (): void => {};
    const answered = new Promise<void>((resolve) => {
      answer = resolve;
    });
    answerWith(async (index) => {
      await answered;
      return Buffer.alloc(10, index);
    });
    const all = [1, 101, 201].map((index) => reader.read(1, index, index + 50));
    answer();
    await Promise.all(all);
    const kept = [1, 101, 201].map((first) => [...Array(50).keys()].filter((i) => reader.has(1, first + i)).length);
    expect(kept).toEqual([12, 1, 1]);
    // They have ended: the next may bring as much again.
    await reader.read(1, 301, 350);
    expect([311, 312, 313].map((index) => reader.has(1, index))).toEqual([true, true, false]);
    expect(asked).toEqual([1, 101, 201, 301]);
  });

  test('damage to one that follows keeps nobody from the first', async () => {
    const { reader, asked, answerWith } = setUp(1000);
    answerWith(async (index) => {
      if (index === 3) throw new Error('damaged');
      return Buffer.from(`entry ${index}`);
    });
    expect(text(await reader.read(1, 1, 5))).toBe('entry 1');
    expect([2, 3].map((index) => reader.has(1, index))).toEqual([true, false]);
    await expect(reader.read(1, 3, 5)).rejects.toThrow('damaged');
    expect(asked).toEqual([1, 3]);
  });

  test('an entry that is not there is an error with its number, and is asked for again', async () => {
    const { reader, asked, answerWith } = setUp(1000);
    answerWith(async () => undefined);
    await expect(reader.read(1, 5)).rejects.toMatchObject({
      code: 'ENTRY_MISSING',
      message: expect.stringContaining('5'),
    });
    answerWith(async () => Buffer.from('back'));
    expect(text(await reader.read(1, 5))).toBe('back');
    expect(asked).toEqual([5, 5]);
  });
});

test('where the records of a queue begin is the same, whether it is asked for one queue or found for all', () => {
  const builder = new RecordBatchBuilder();
  for (const queueIds of [[1], [2, 3], [1, 3], [3]]) {
    const targets = queueIds.map((queueId) => ({ queueId, key: undefined }));
    builder.add(plainRecord(targets, { payload: Buffer.alloc(3) }));
  }
  const { reader } = setUp(10_000);
  reader.remember(1, 1, builder.finish());
  const entry = reader.recent(1, 1) as ReadEntry;
  for (const [queueId, count] of [2, 1, 3, 0].map((n, i) => [i + 1, n] as const)) {
    const shared = entry.positions(queueId, [], true);
    expect(shared).toHaveLength(count);
    expect(shared).toEqual(entry.positions(queueId, [], false));
  }
  // The first of the queue's records was refused.
  expect(entry.positions(3, [1], true)).toEqual(entry.positions(3, [], true).slice(1));
});
