import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, jest, test } from '@jest/globals';
import { systemClock } from '@sluice/common/clock';
import type { RocksDb } from '@sluice/storage/rocksdb/rocksdb-binding';
import { openRocksDbEngine } from '@sluice/storage/rocksdb/rocksdb-engine';
import { RocksDbHandle } from '@sluice/storage/rocksdb/rocksdb-handle';
import { codeOf } from './support/open-test-log.ts';
import { removeTemporaryDirectories, temporaryDirectory } from './support/temporary-directory.ts';

afterEach(() => {
  jest.restoreAllMocks();
});
afterAll(removeTemporaryDirectories);

const key = (i: number) => Buffer.from(`key${String(i).padStart(6, '0')}`);
const ALL = { gte: key(0), lt: key(999_999), limit: -1, values: true, fillCache: false, highWaterMark: 64 };

function put(handle: RocksDbHandle, from: number, to: number): Promise<void> {
  return handle.call<void>((db: RocksDb, done) => {
    const batch = db.batch();
    for (let i = from; i < to; i++) batch.put(key(i), Buffer.from(String(i)));
    batch.write({ sync: false }, done);
  });
}

async function get(handle: RocksDbHandle, i: number): Promise<string | undefined> {
  const found = await handle.call<(Buffer | undefined)[]>((db, done) =>
    db.getMany([key(i)], { asBuffer: true, fillCache: true }, done),
  );
  return found[0]?.toString();
}

describe('a database that is opened anew under its users', () => {
  test('keeps its rows; reads wait for it, scans that were under way end with an error', async () => {
    const handle = await RocksDbHandle.open(await temporaryDirectory(), 0);
    await put(handle, 0, 1000);
    const scan = handle.iterate(ALL);
    expect((await handle.next(scan))?.key).toEqual(key(0));
    // Some are in flight when it begins, others come while it lasts.
    const before = Array.from({ length: 50 }, (_, i) => get(handle, i));
    const reopened = handle.reopen();
    const meanwhile: Promise<string | undefined>[] = [];
    let isOver = false;
    void reopened.then(() => {
      isOver = true;
    });
    while (!isOver) {
      meanwhile.push(get(handle, 7));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await Promise.all(before)).toEqual(Array.from({ length: 50 }, (_, i) => String(i)));
    expect(new Set(await Promise.all(meanwhile))).toEqual(new Set(['7']));
    expect(await codeOf(handle.next(scan))).toBe('STATE_FULL');
    await handle.end(scan);
    await put(handle, 1000, 1001);
    expect(await get(handle, 1000)).toBe('1000');
    await handle.close();
  });

  test('that cannot be opened refuses its users, and is asked again by the next reopen', async () => {
    const directory = await temporaryDirectory();
    const handle = await RocksDbHandle.open(directory, 0);
    await put(handle, 0, 10);
    const current = join(directory, 'CURRENT');
    const good = await readFile(current);
    await writeFile(current, 'nonsense');
    expect(await codeOf(handle.reopen())).toBe('STATE_DAMAGED');
    expect(await codeOf(get(handle, 1))).toBe('STATE_FULL');
    expect(() => handle.iterate(ALL)).toThrow('no space left');
    await writeFile(current, good);
    await handle.reopen();
    expect(await get(handle, 1)).toBe('1');
    await handle.close();
  });
});

test('room must last before a database is closed for it', async () => {
  let nowMs = 7;
  jest.spyOn(systemClock, 'monotonicMs').mockImplementation(() => nowMs);
  const handle = await RocksDbHandle.open(await temporaryDirectory(), 50);
  await put(handle, 0, 10);
  for (nowMs of [7, 8, 56]) {
    expect(await codeOf(handle.reopen())).toBe('STATE_FULL');
    expect(await get(handle, 1)).toBe('1');
  }
  nowMs = 57;
  await handle.reopen();
  expect(await get(handle, 1)).toBe('1');
  await handle.close();
});

describe('damage that a read finds', () => {
  test('is remembered: the next open refuses the state instead of failing at the same row again', async () => {
    const directory = await temporaryDirectory();
    let engine = await openRocksDbEngine(directory);
    for (let i = 0; i < 2_000; i++) await engine.write([{ key: key(i), value: Buffer.alloc(64, i) }], { sync: false });
    await engine.close();
    // The next open puts the write-ahead log into a table.
    engine = await openRocksDbEngine(directory);
    await engine.close();
    const table = (await readdir(directory)).find((name) => name.endsWith('.sst')) as string;
    const bytes = await readFile(join(directory, table));
    bytes[2_000] = (bytes[2_000] ?? 0) ^ 1;
    await writeFile(join(directory, table), bytes);
    // As of a table that was not noted yet: only a read can tell.
    await rm(join(directory, 'SUMS'));
    engine = await openRocksDbEngine(directory);
    const reads = Array.from({ length: 2_000 }, (_, i) => codeOf(engine.get(key(i))));
    expect(await Promise.all(reads)).toContain('STATE_DAMAGED');
    await engine.close();
    expect(await codeOf(openRocksDbEngine(directory))).toBe('STATE_DAMAGED');
  });

  test('in a table is found at the open, by its name; what the sums say of other tables does not matter', async () => {
    const directory = await temporaryDirectory();
    for (let round = 0; round < 2; round++) {
      const engine = await openRocksDbEngine(directory);
      await engine.write([{ key: key(round), value: Buffer.alloc(2_000, round) }], { sync: true });
      await engine.close();
    }
    const table = (await readdir(directory)).find((name) => name.endsWith('.sst')) as string;
    const path = join(directory, table);
    const good = await readFile(path);
    for (let at = 0; at < good.length; at += 37) {
      const bytes = Buffer.from(good);
      bytes[at] = (bytes[at] ?? 0) ^ 0x80;
      await writeFile(path, bytes);
      expect(await codeOf(openRocksDbEngine(directory))).toBe('STATE_DAMAGED');
    }
    await writeFile(path, good);
    const sums = await readFile(join(directory, 'SUMS'), 'utf8');
    expect(sums).toContain(table);
    for (const text of ['', sums.slice(0, -3), sums.replace(table, '999999.sst')]) {
      await writeFile(join(directory, 'SUMS'), text);
      const engine = await openRocksDbEngine(directory);
      expect((await engine.get(key(0)))?.length).toBe(2_000);
      await engine.close();
    }
    expect(await readFile(join(directory, 'SUMS'), 'utf8')).toContain(table);
  });

  test.each([/^CURRENT$/, /\.sst$/, /^MANIFEST/])('a missing or empty file (%p) is damage', async (pattern) => {
    const directory = await temporaryDirectory();
    for (let round = 0; round < 2; round++) {
      const engine = await openRocksDbEngine(directory);
      await engine.write([{ key: key(round), value: Buffer.alloc(64) }], { sync: true });
      await engine.close();
    }
    for (const name of await readdir(directory)) if (pattern.test(name)) await writeFile(join(directory, name), '');
    const open = async () => {
      const engine = await openRocksDbEngine(directory);
      await engine.get(key(0)).finally(() => engine.close());
    };
    expect(await codeOf(open())).toBe('STATE_DAMAGED');
  });
});
