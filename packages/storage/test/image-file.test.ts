import { readdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import type { KeyValue } from '@sluice/storage/engine';
import type { FileOperations } from '@sluice/storage/files/file-operations';
import { nodeFileOperations } from '@sluice/storage/files/node-file-operations';
import { imageFileName, listImages, readImage, writeImage } from '@sluice/storage/image-file';
import { FaultyFiles } from './support/faulty-files.ts';
import { codeOf } from './support/open-test-log.ts';
import { removeTemporaryDirectories, temporaryDirectory } from './support/temporary-directory.ts';

afterAll(removeTemporaryDirectories);

const header = (index: number, groupId = 3) => ({ groupId, index, term: 5, meta: Buffer.from('voters 1 2 3') });

async function* chunksOf(...chunks: KeyValue[][]): AsyncGenerator<KeyValue[]> {
  yield* chunks;
}

const row = (key: string, value: string) => ({ key: Buffer.from(key), value: Buffer.from(value) });
const some = () => chunksOf([row('a', '1'), row('b', '')], [], [row('c', 'x'.repeat(300))]);

async function rowsOf(path: string): Promise<string[]> {
  const rows: string[] = [];
  const { chunks } = await readImage(path);
  for await (const chunk of chunks) {
    for (const { key, value } of chunk) rows.push(`${Buffer.from(key)}=${Buffer.from(value)}`);
  }
  return rows;
}

describe('image file', () => {
  test('gives back header and rows', async () => {
    const path = join(await temporaryDirectory(), imageFileName(3, 77));
    const written = await writeImage(path, header(77), some());
    expect(written).toEqual({ rows: 3, bytes: (await readFile(path)).length });
    const image = await readImage(path);
    expect({ ...image.header, meta: Buffer.from(image.header.meta).toString() }).toEqual({
      groupId: 3,
      index: 77,
      term: 5,
      meta: 'voters 1 2 3',
    });
    expect(await rowsOf(path)).toEqual(['a=1', 'b=', `c=${'x'.repeat(300)}`]);
  });

  test('is durable under its name: the file before it gets the name, the name before it counts', async () => {
    const path = join(await temporaryDirectory(), imageFileName(3, 77));
    const done: string[] = [];
    const files: FileOperations = {
      ...nodeFileOperations,
      datasync: (fd) => nodeFileOperations.datasync(fd).then(() => void done.push('file')),
      rename: (from, to) => nodeFileOperations.rename(from, to).then(() => void done.push('name')),
      syncDirectory: (directory) => nodeFileOperations.syncDirectory(directory).then(() => void done.push('directory')),
    };
    await writeImage(path, header(77), some(), files);
    expect(done).toEqual(['file', 'name', 'directory']);
  });

  test('an image of nothing is an image, and a large chunk is no problem', async () => {
    const path = join(await temporaryDirectory(), imageFileName(3, 1));
    await writeImage(path, header(1), chunksOf());
    expect(await rowsOf(path)).toEqual([]);
    const large = [...Array(12).keys()].map((i) => row(`key ${i}`, 'v'.repeat(1_000_000)));
    await writeImage(path, header(1), chunksOf(large));
    expect((await rowsOf(path)).map((text) => text.length)).toEqual(large.map(({ key }) => key.length + 1_000_001));
  });

  test('every flipped bit, every missing end and every added byte is found', async () => {
    const path = join(await temporaryDirectory(), imageFileName(3, 77));
    await writeImage(path, header(77), some());
    const whole = await readFile(path);
    for (let at = 0; at < whole.length; at++) {
      const bytes = Buffer.from(whole);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8));
      await writeFile(path, bytes);
      expect([at, await codeOf(rowsOf(path))]).toEqual([at, 'IMAGE_DAMAGED']);
      await writeFile(path, whole.subarray(0, at));
      expect([at, await codeOf(rowsOf(path))]).toEqual([at, 'IMAGE_DAMAGED']);
    }
    await writeFile(path, Buffer.concat([whole, Buffer.from([0])]));
    await expect(rowsOf(path)).rejects.toThrow(
      `${path} is damaged at byte ${whole.length}: expected the end of the file`,
    );
  });

  test('a dropped or exchanged chunk is found although each is intact', async () => {
    const path = join(await temporaryDirectory(), imageFileName(3, 77));
    await writeImage(path, header(77), chunksOf([row('a', '1')], [row('b', '2')]));
    const whole = await readFile(path);
    const a = whole.indexOf(Buffer.from([2, 0, 0, 0, 4]));
    const blockBytes = 13;
    const [left, middle, right] = [
      whole.subarray(0, a),
      whole.subarray(a, a + blockBytes),
      whole.subarray(a + blockBytes),
    ];
    await writeFile(path, Buffer.concat([left, right]));
    expect(await codeOf(rowsOf(path))).toBe('IMAGE_DAMAGED');
    const [second, rest] = [right.subarray(0, blockBytes), right.subarray(blockBytes)];
    await writeFile(path, Buffer.concat([left, second, middle, rest]));
    expect(await codeOf(rowsOf(path))).toBe('IMAGE_DAMAGED');
  });

  test('a full disk, a failing sync or a failing source leave nothing behind and the old image alone', async () => {
    const directory = await temporaryDirectory();
    const path = join(directory, imageFileName(3, 77));
    await writeImage(path, header(77), chunksOf([row('old', '1')]));
    const full = new FaultyFiles();
    full.onWrite = (sizeBytes) => (sizeBytes > 200 ? 20 : undefined);
    expect(await codeOf(writeImage(path, header(77), some(), full))).toBe('IMAGE_FULL');
    const failing = new FaultyFiles();
    failing.onSync = () => 'EIO';
    expect(await codeOf(writeImage(path, header(77), some(), failing))).toBe('EIO');
    const source = async function* () {
      yield [row('a', '1')];
      throw new Error('the engine was closed');
    };
    await expect(writeImage(path, header(77), source())).rejects.toThrow('the engine was closed');
    expect([full.opened, failing.opened]).toEqual([0, 0]);
    expect(await readdir(directory)).toEqual([imageFileName(3, 77)]);
    expect(await rowsOf(path)).toEqual(['old=1']);
  });

  test('lists the newest image of each group first, and the damaged ones apart', async () => {
    const directory = await temporaryDirectory();
    for (const [groupId, index] of [
      [3, 9],
      [3, 200],
      [1, 5],
    ] as const) {
      await writeImage(join(directory, imageFileName(groupId, index)), header(index, groupId), some());
    }
    await writeFile(join(directory, imageFileName(2, 1)), 'not an image');
    await writeFile(join(directory, `${imageFileName(2, 2)}.tmp`), 'half');
    const { images, damaged } = await listImages(directory);
    expect(images.map(({ header }) => [header.groupId, header.index])).toEqual([
      [1, 5],
      [3, 200],
      [3, 9],
    ]);
    expect(damaged.map(({ code }) => code)).toEqual(['IMAGE_DAMAGED']);
  });

  test('lists the images of one group, and reads no others', async () => {
    const directory = await temporaryDirectory();
    for (const [groupId, index] of [
      [1, 9],
      [1, 200],
      [11, 5],
      [2, 7],
    ] as const) {
      await writeImage(join(directory, imageFileName(groupId, index)), header(index, groupId), some());
    }
    const opened: string[] = [];
    const files: FileOperations = {
      ...nodeFileOperations,
      open: (path, how) => {
        opened.push(basename(path));
        return nodeFileOperations.open(path, how);
      },
    };
    const { images } = await listImages(directory, files, 1);
    expect(images.map(({ header }) => [header.groupId, header.index])).toEqual([
      [1, 200],
      [1, 9],
    ]);
    expect(opened.sort()).toEqual([imageFileName(1, 9), imageFileName(1, 200)]);
  });

  test('lists what is left when one makes room for a newer one meanwhile', async () => {
    const directory = await temporaryDirectory();
    for (const groupId of [1, 4]) {
      await writeImage(join(directory, imageFileName(groupId, 9)), header(9, groupId), some());
    }
    const files = {
      ...nodeFileOperations,
      list: async (path: string) => {
        const names = await nodeFileOperations.list(path);
        await nodeFileOperations.unlink(join(directory, imageFileName(4, 9)));
        return names;
      },
    };
    const { images, damaged } = await listImages(directory, files);
    expect([images.map(({ header }) => header.groupId), damaged]).toEqual([[1], []]);
  });
});
