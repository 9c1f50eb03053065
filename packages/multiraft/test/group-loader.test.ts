import { beforeEach, describe, expect, test } from '@jest/globals';
import { MemoryEngine } from '@sluice/storage/memory/memory-engine';
import { readResidentRows } from '../src/group-loader.ts';
import { groupKey } from '../src/keyspace.ts';
import type { NodeStorage } from '../src/node-storage.ts';

const tables = (from: number, to: number) => ({ from: Uint8Array.of(from), to: Uint8Array.of(to) });

let engine: MemoryEngine;
let scans: number;
let storage: NodeStorage;

beforeEach(async () => {
  engine = new MemoryEngine();
  scans = 0;
  const counting = {
    snapshotScan: (from: Uint8Array, to: Uint8Array, chunkRows: number) => {
      scans++;
      return engine.snapshotScan(from, to, chunkRows);
    },
  };
  storage = { engine: counting } as unknown as NodeStorage;
  const writes = [];
  for (const groupId of [6, 7, 8]) {
    for (let table = 1; table <= 9; table++) {
      writes.push({ key: groupKey(groupId, Uint8Array.of(table, 0)), value: Uint8Array.of(groupId, table) });
    }
  }
  await engine.write(writes, { sync: false });
});

const found = async (ranges: { from: Uint8Array; to: Uint8Array }[]) =>
  (await readResidentRows(storage, 7, ranges)).map(({ key, value }) => [...key, ...value].join()).sort();

describe('the rows a machine begins with', () => {
  test('ranges that adjoin are read at once, in whatever order they are named, and nothing between those that do not', async () => {
    expect(await found([tables(7, 8), tables(2, 3), tables(4, 5), tables(3, 4)])).toEqual([
      '2,0,7,2',
      '3,0,7,3',
      '4,0,7,4',
      '7,0,7,7',
    ]);
    expect(scans).toBe(2);
  });

  test('without a range nothing is asked', async () => {
    expect(await found([])).toEqual([]);
    expect(scans).toBe(0);
  });
});
