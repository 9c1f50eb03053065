import { beforeEach, describe, expect, test } from '@jest/globals';
import { SluiceError } from '@sluice/common/errors';
import { encodeMembership } from '@sluice/raft/conf-change';
import { type Entry, EntryKind } from '@sluice/raft/entry';
import type { EntryLog } from '@sluice/storage/entry-log-contract';
import { nodeFileOperations } from '@sluice/storage/files/node-file-operations';
import { MemoryEngine } from '@sluice/storage/memory/memory-engine';
import { groupKey } from '../../src/disk/keyspace.ts';
import type { NodeStorage } from '../../src/disk/node-storage.ts';
import { isAlone, readResidentRows, readStoredGroup } from '../../src/replica/group-loader.ts';

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

describe('who belongs to the group, where an entry that was not applied cannot be read', () => {
  const members = (...voters: number[]) =>
    encodeMembership({ voters, votersOutgoing: [], learners: [], learnersNext: [] });

  /** A log in which node 1 began alone; `joined` is where two others joined it. */
  async function stored(options: { damaged: number; joined?: number }) {
    const entries: Entry[] = Array.from({ length: 9 }, (_, i) => ({
      term: 1,
      index: i + 1,
      kind: i === 0 || i + 1 === options.joined ? EntryKind.MEMBERSHIP : EntryKind.NORMAL,
      data: i === 0 ? members(1) : members(1, 2, 3),
    }));
    const entryLog = {
      groups: new Map([[7, { lastIndex: 9, hardState: { term: 1, vote: 0, commit: 9 } }]]),
      // As the disk has it: a read brings all it was asked for, or says what is wrong.
      async read(_groupId: number, first: number, last: number, bytesMax: number) {
        const read = entries.slice(first - 1, bytesMax === 1 ? first : last);
        if (read.some(({ index }) => index === options.damaged)) {
          throw new SluiceError('ENTRY_LOG_DAMAGED', 'damaged', { hint: '' });
        }
        return read;
      },
      kind: async (_groupId: number, index: number) => entries[index - 1]?.kind,
    } as unknown as EntryLog;
    const imageDirectory = '/nonexistent';
    const storage = { engine, entryLog, imageDirectory, files: nodeFileOperations } as unknown as NodeStorage;
    return await readStoredGroup(storage, 7);
  }

  test('a node that began alone does not take itself for the group when its joining cannot be read: raft seed 2730289', async () => {
    for (const damaged of [1, 2, 4, 5]) {
      const found = await stored({ damaged, joined: 5 });
      expect([found.damage?.message, found.hidesMembership, isAlone(found, 1)]).toEqual(['damaged', true, false]);
    }
  });

  test('one that is alone is so still, and one of three knows the others, when it is read before the damage', async () => {
    const alone = await stored({ damaged: 4 });
    expect([alone.damage?.message, alone.hidesMembership, isAlone(alone, 1)]).toEqual(['damaged', false, true]);
    const joined = await stored({ damaged: 8, joined: 5 });
    expect(joined.later.map(({ index }) => index)).toEqual([1, 5]);
    expect([joined.hidesMembership, isAlone(joined, 1)]).toEqual([false, false]);
  });
});
