import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { imageFileName, readImage, writeImage } from '@sluice/storage/image-file';
import { add } from '../support/tally-machine.ts';
import { TestNode, until } from '../support/test-node.ts';

const SEGMENT = { segmentBytes: 64 * 1024 };
let node: TestNode;
beforeEach(async () => {
  node = await TestNode.create();
});
afterEach(async () => {
  await node.remove();
});

const images = async (): Promise<string[]> =>
  (await readdir(join(node.directory, 'images'))).map((name) => join(node.directory, 'images', name));

/** The front of the log is given back, so that only an image, or the engine, knows what it did. */
async function withImage(): Promise<string> {
  await node.start(1, SEGMENT);
  for (let i = 0; i < 60; i++) await node.propose(1, add(1, 1, 10_000));
  node.host.noteDeadBytes(600_000);
  await until(() => node.storage.entryLog.sealedSegments().length <= 1, 'segments are released');
  await node.stop();
  const [path] = await images();
  return path as string;
}

test.each([20, -1])('a damaged image (byte %d) is written anew while the engine still has the rows', async (at) => {
  const path = await withImage();
  const good = await readFile(path);
  await writeFile(path, damaged(good, at));
  await findDamage();
  // It is as good as the one before: the engine can be lost now.
  await rm(join(node.directory, 'state'), { recursive: true });
  await node.start(1, SEGMENT);
  expect((await node.propose(1, add(1, 0))).value).toBe(60);
  await node.stop();
});

test('a damaged image is written anew although an older one is whole that the log does not go on from', async () => {
  const path = await withImage();
  const { header } = await readImage(path);
  const older = join(node.directory, 'images', imageFileName(header.groupId, 1));
  await writeImage(older, { ...header, index: 1 }, (async function* () {})());
  await writeFile(path, damaged(await readFile(path), -1));
  await findDamage();
});

test('images that are whole are left alone', async () => {
  const path = await withImage();
  const before = await readFile(path);
  node.imageCheckDelayMs = 0;
  await node.start(1, SEGMENT);
  await node.propose(1, add(1, 1));
  await node.stop();
  expect((await readFile(path)).equals(before)).toBe(true);
  expect(node.metrics.counter('sluice_storage_damaged_images_total', '').value).toBe(0);
});

/** From its end, when negative. */
function damaged(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  const position = at < 0 ? copy.length + at : at;
  copy[position] = (copy[position] as number) ^ 1;
  return copy;
}

/** The node runs until its image was found to be damaged. */
async function findDamage(): Promise<void> {
  node.imageCheckDelayMs = 0;
  await node.start(1, SEGMENT);
  const counter = node.metrics.counter('sluice_storage_damaged_images_total', '');
  await until(() => counter.value === 1, 'the damage is found');
  await node.stop();
}
