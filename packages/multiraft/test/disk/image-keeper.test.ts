import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { silentLogger } from '@sluice/common/logger';
import type { SnapshotScan } from '@sluice/storage/engine';
import { nodeFileOperations } from '@sluice/storage/files/node-file-operations';
import { MemoryEngine } from '@sluice/storage/memory/memory-engine';
import type { ApplyLoop } from '../../src/apply/apply-loop.ts';
import { ImageKeeper } from '../../src/disk/image-keeper.ts';
import type { NodeStorage } from '../../src/disk/node-storage.ts';
import type { Replica } from '../../src/replica/replica.ts';

/** Knows which of its snapshots nobody has read to the end, nor ended. */
class CountingEngine extends MemoryEngine {
  readonly open = new Set<SnapshotScan>();

  override snapshotScan(from: Uint8Array, to: Uint8Array, chunkRows: number): SnapshotScan {
    const scan = super.snapshotScan(from, to, chunkRows);
    const { open } = this;
    open.add(scan);
    const chunks = (async function* () {
      try {
        yield* scan;
      } finally {
        open.delete(scan);
      }
    })();
    return {
      [Symbol.asyncIterator]: () => chunks,
      end: async () => {
        open.delete(scan);
      },
    };
  }
}

const membership = { voters: [1], votersOutgoing: [], learners: [], learnersNext: [] };
let directory: string;
let engine: CountingEngine;
let files: typeof nodeFileOperations;
let compactedTo: number;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sluice-images-'));
  engine = new CountingEngine();
  files = { ...nodeFileOperations };
  compactedTo = 0;
});
afterEach(() => rm(directory, { recursive: true }));

function keeper(): ImageKeeper {
  const entryLog = {
    firstIndex: () => compactedTo + 1,
    term: () => 1,
    sizeBytes: () => 1,
    compact: (_group: number, index: number) => {
      compactedTo = index;
    },
  };
  return new ImageKeeper({
    storage: { engine, files, imageDirectory: directory, entryLog } as unknown as NodeStorage,
    applyLoop: { betweenBatches: async <T>(act: () => T) => act() } as unknown as ApplyLoop,
    logger: silentLogger,
  });
}

function replica(appliedIndex: number): Replica {
  return { groupId: 1, appliedIndex, appliedTerm: 1, membership, removed: false } as unknown as Replica;
}

test('an image that is there already is not taken again: only the log is compacted, and the engine keeps no view of it', async () => {
  const images = keeper();
  let floor = 3;
  images.logFloor = () => floor;
  await images.take(replica(9));
  expect(compactedTo).toBe(3);
  expect(await readdir(directory)).toHaveLength(1);
  floor = 7;
  await images.take(replica(9));
  expect(compactedTo).toBe(7);
  expect(engine.open.size).toBe(0);
});

test('an image that cannot be written leaves no view of the engine behind', async () => {
  files.open = async () => {
    throw Object.assign(new Error('too many open files'), { code: 'EMFILE' });
  };
  await expect(keeper().take(replica(9))).rejects.toThrow('too many open files');
  expect(engine.open.size).toBe(0);
  expect(compactedTo).toBe(0);
});
