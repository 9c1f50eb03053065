import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import type { Entry } from '@sluice/raft/entry';
import { EntrySpool, readSpool } from '@sluice/storage/entry-spool';
import type { FileOperations } from '@sluice/storage/files/file-operations';
import { nodeFileOperations } from '@sluice/storage/files/node-file-operations';
import { FaultyFiles } from './support/faulty-files.ts';
import { codeOf, entry } from './support/open-test-log.ts';
import { removeTemporaryDirectories, temporaryDirectory } from './support/temporary-directory.ts';

afterAll(removeTemporaryDirectories);

const BLOCKS = [[entry(1, 1, 'one'), entry(5, 2, '')], [entry(6, 2, 'x'.repeat(5000))], [entry(9, 3, 'nine')]];

async function spool(blocks: readonly Entry[][]): Promise<string> {
  const path = join(await temporaryDirectory(), 'a.spool');
  const file = await EntrySpool.create(path, nodeFileOperations);
  for (const block of blocks) await file.add(block);
  await file.finish();
  return path;
}

async function read(path: string, files: FileOperations = nodeFileOperations): Promise<Entry[][]> {
  const blocks: Entry[][] = [];
  for await (const block of readSpool(path, files)) blocks.push(block);
  return blocks;
}

const plain = (blocks: readonly Entry[][]) =>
  blocks.map((block) => block.map(({ data, ...rest }) => ({ ...rest, text: Buffer.from(data).toString() })));

describe('a spool of entries', () => {
  test('gives back what was added, block by block; an empty one too', async () => {
    expect(plain(await read(await spool(BLOCKS)))).toEqual(plain(BLOCKS));
    expect(await read(await spool([]))).toEqual([]);
  });

  test('every flipped byte and every missing end is found', async () => {
    const path = await spool(BLOCKS);
    const whole = await readFile(path);
    for (let at = 0; at < whole.length; at += at < 200 ? 1 : 97) {
      const damaged = Buffer.from(whole);
      damaged.writeUInt8(damaged.readUInt8(at) ^ 0x10, at);
      await writeFile(path, damaged);
      expect([at, await codeOf(read(path))]).toEqual([at, 'SPOOL_DAMAGED']);
    }
    for (let length = 0; length < whole.length; length += 61) {
      await writeFile(path, whole.subarray(0, length));
      expect([length, await codeOf(read(path))]).toEqual([length, 'SPOOL_DAMAGED']);
    }
  });

  test('a place of the disk that cannot be read is damage', async () => {
    const path = await spool(BLOCKS);
    const files = new FaultyFiles();
    files.onRead = (position) => (position > 100 ? 'EIO' : undefined);
    expect(await codeOf(read(path, files))).toBe('SPOOL_DAMAGED');
    expect(files.opened).toBe(0);
  });

  test('one that was not finished is none', async () => {
    const path = join(await temporaryDirectory(), 'a.spool');
    const file = await EntrySpool.create(path, nodeFileOperations);
    await file.add(BLOCKS[0] as Entry[]);
    await file.close();
    expect(await codeOf(read(path))).toBe('SPOOL_DAMAGED');
  });
});
