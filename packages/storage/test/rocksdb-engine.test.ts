import { cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import type { Engine } from '@sluice/storage/engine';
import { openRocksDbEngine } from '@sluice/storage/rocksdb/rocksdb-engine';
import { engineContract } from './engine-contract.ts';
import { codeOf } from './support/open-test-log.ts';
import { removeTemporaryDirectories, temporaryDirectory } from './support/temporary-directory.ts';

afterAll(removeTemporaryDirectories);

const key = (i: number) => Buffer.from(`key${String(i).padStart(6, '0')}`);

/** Not compressible: where a block is compressed, a flipped bit rarely survives unpacking. */
const value = (i: number) =>
  Buffer.from([...Array(150).keys()].map((at) => Math.imul(i * 150 + at + 1, 0x9e3779b1) >>> 24));

async function fill(engine: Engine, from: number, to: number): Promise<void> {
  for (let i = from; i < to; i++) {
    await engine.write([{ key: key(i), value: value(i) }], { sync: false });
  }
}

async function fileOf(directory: string, pattern: RegExp): Promise<string> {
  const names = (await readdir(directory)).filter((name) => pattern.test(name)).sort();
  return join(directory, names[names.length - 1] ?? 'none');
}

/** Flips one bit at this fraction of a file. */
async function flip(path: string, fraction: number): Promise<void> {
  const bytes = await readFile(path);
  const at = Math.floor(bytes.length * fraction);
  bytes[at] = (bytes[at] ?? 0) ^ 0x10;
  await writeFile(path, bytes);
}

/** Opens and reads everything: damage must show at one of the two. */
async function openAndReadAll(directory: string): Promise<string[]> {
  const engine = await openRocksDbEngine(directory);
  const rows: string[] = [];
  try {
    for await (const chunk of engine.snapshotScan(Buffer.from('a'), Buffer.from('z'), 100)) {
      for (const { key, value } of chunk) rows.push(`${Buffer.from(key)}=${Buffer.from(value).toString('hex')}`);
    }
    return rows;
  } finally {
    await engine.close();
  }
}

describe('rocksdb engine', () => {
  engineContract(async () => openRocksDbEngine(await temporaryDirectory()));

  test('a write of many rows is whole, after those before it, also when a close comes while it is encoded', async () => {
    const directory = await temporaryDirectory();
    const engine = await openRocksDbEngine(directory);
    await fill(engine, 0, 3);
    const rows = [...Array(2000).keys()].map((i) => ({ key: key(i), value: i === 1 ? undefined : value(i) }));
    const written = engine.write(rows, { sync: false });
    const next = engine.write([{ key: key(2), value: value(99) }], { sync: false });
    const read = await engine.scan(key(0), key(9999), 9999);
    expect([3, 1999]).toContain(read.length);
    await engine.close();
    await Promise.all([written, next]);
    const reopened = await openRocksDbEngine(directory);
    const kept = await reopened.scan(key(0), key(9999), 9999);
    expect(kept).toHaveLength(1999);
    expect(kept[1]?.value).toEqual(value(99));
    await reopened.close();
  });

  test('keeps its rows over a reopen', async () => {
    const directory = await temporaryDirectory();
    const engine = await openRocksDbEngine(directory);
    await fill(engine, 0, 50);
    await engine.close();
    const reopened = await openRocksDbEngine(directory);
    expect(await reopened.scan(key(0), key(999), 100)).toHaveLength(50);
    await fill(reopened, 50, 60);
    await reopened.close();
    const again = await openRocksDbEngine(directory);
    expect(await again.scan(key(0), key(999), 100)).toHaveLength(60);
    await again.close();
  });

  test('a database in use is refused', async () => {
    const directory = await temporaryDirectory();
    const engine = await openRocksDbEngine(directory);
    expect(await codeOf(openRocksDbEngine(directory))).toBe('STATE_LOCKED');
    await engine.close();
  });

  test.each([0.1, 0.3, 0.5, 0.7])(
    'a flipped bit at %d of the write-ahead log, a silent hole otherwise, is damage',
    async (fraction) => {
      const directory = await temporaryDirectory();
      const engine = await openRocksDbEngine(directory);
      await fill(engine, 0, 1000);
      await engine.close();
      await flip(await fileOf(directory, /\.log$/), fraction);
      expect(await codeOf(openAndReadAll(directory))).toBe('STATE_DAMAGED');
    },
  );

  test('a write-ahead log cut short only loses its last writes', async () => {
    const directory = await temporaryDirectory();
    const engine = await openRocksDbEngine(directory);
    await fill(engine, 0, 1000);
    await engine.close();
    const path = await fileOf(directory, /\.log$/);
    await writeFile(path, (await readFile(path)).subarray(0, 100_000));
    const reopened = await openRocksDbEngine(directory);
    const rows = await reopened.scan(key(0), key(999_999), 2000);
    expect(rows.length).toBeGreaterThan(100);
    expect(rows.length).toBeLessThan(1000);
    expect(rows.map((row) => Buffer.from(row.key))).toEqual([...rows.keys()].map(key));
    await reopened.close();
  });

  test('a flipped bit anywhere in a table file is never read as a row', async () => {
    const directory = await temporaryDirectory();
    const engine = await openRocksDbEngine(directory);
    await fill(engine, 0, 1200);
    // Forces the rows into a table file.
    await engine.clearRange(key(0), key(1100));
    await engine.close();
    const expected = [...Array(100).keys()].map((i) => `${key(1100 + i)}=${value(1100 + i).toString('hex')}`);
    let found = 0;
    for (let fraction = 0.02; fraction < 1; fraction += 0.04) {
      // A copy each time: an engine that found damage remembers it.
      const copy = await temporaryDirectory();
      await cp(directory, copy, { recursive: true });
      await flip(await fileOf(copy, /\.sst$/), fraction);
      const outcome = await openAndReadAll(copy).catch((error: { code?: string }) => error.code);
      // A bit of a deleted row or of padding changes nothing that can be read.
      if (Array.isArray(outcome)) expect(outcome).toEqual(expected);
      else expect(outcome).toBe('STATE_DAMAGED');
      if (outcome === 'STATE_DAMAGED') found++;
    }
    expect(found).toBeGreaterThan(5);
  });

  test('a damaged manifest is damage', async () => {
    const directory = await temporaryDirectory();
    const engine = await openRocksDbEngine(directory);
    await fill(engine, 0, 10);
    await engine.close();
    await flip(await fileOf(directory, /^MANIFEST/), 0.5);
    expect(await codeOf(openAndReadAll(directory))).toBe('STATE_DAMAGED');
  });
});
