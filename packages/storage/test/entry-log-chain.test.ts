import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { checksum } from '@sluice/storage/checksum';
import { FrameBuilder } from '@sluice/storage/entry-log/frame/frame-builder';
import { chainOf, RecordType, SUPERSEDES } from '@sluice/storage/entry-log/frame/frame-format';
import { decodeSegmentHeader } from '@sluice/storage/entry-log/segment/segment-header';
import { entry, openTestLog, readTexts, write } from './support/open-test-log.ts';
import { removeTemporaryDirectories, temporaryDirectory } from './support/temporary-directory.ts';

afterAll(removeTemporaryDirectories);

const SEGMENT = '0000000000000001.log';

/** A log of two entries, and a way to add a frame that only its contents can betray. */
async function twoEntries() {
  const directory = await temporaryDirectory();
  const { log } = await openTestLog(directory, { sync: false });
  await log.append([write(1, [entry(1, 1, 'one')])]);
  const secondAt = log.mark().position;
  await log.append([write(1, [entry(2, 1, 'two')])]);
  await log.close();
  const path = join(directory, SEGMENT);
  const { seed } = decodeSegmentHeader(path, (await readFile(path)).subarray(0, 64), 1);
  const frame = (
    sequence: number,
    index: number,
    flags: number,
    chain: number,
    type: RecordType = RecordType.ENTRY,
  ) => {
    const builder = new FrameBuilder();
    const data = Buffer.from('forged');
    builder.start();
    builder.data(type, 0, flags, 1, 1, index, data, checksum(data), chain);
    return Buffer.concat(builder.finish(sequence, seed));
  };
  const open = async () => {
    const { log, logger } = await openTestLog(directory, { sync: false });
    const texts = await readTexts(log, 1, 1, log.lastIndex(1));
    await log.close();
    return { texts, cut: logger.has('cut a torn write') };
  };
  return { path, secondAt, frame, open };
}

const chain = (previous: number, index: number, text: string) =>
  chainOf(previous, 1, index, checksum(Buffer.from(text)));
const ONE = chain(0, 1, 'one');
const TWO = chain(ONE, 2, 'two');

describe('frames that are intact and wrong', () => {
  test('the way the frames are made here gives one that is right', async () => {
    const { path, frame, open } = await twoEntries();
    await appendFile(path, frame(3, 3, 0, chain(TWO, 3, 'forged')));
    expect(await open()).toEqual({ texts: ['one', 'two', 'forged'], cut: false });
  });

  test('an entry that does not follow the one before it', async () => {
    const { path, frame, open } = await twoEntries();
    await appendFile(path, frame(3, 3, 0, chain(ONE, 3, 'forged')));
    await expect(open()).rejects.toThrow(
      /0001\.log is damaged at byte \d+: expected entry 3 of group 1 chained to the one before it/,
    );
  });

  test('an entry that supersedes, and does not follow the one it is put behind', async () => {
    const { path, frame, open } = await twoEntries();
    await appendFile(path, frame(3, 2, SUPERSEDES, chain(TWO, 2, 'forged')));
    await expect(open()).rejects.toThrow(/expected entry 2 of group 1 chained to the one before it/);
  });

  test('an entry after a gap, or one that supersedes nothing', async () => {
    for (const [index, flags] of [
      [4, 0],
      [2, 0],
      [3, SUPERSEDES],
    ] as const) {
      const { path, frame, open } = await twoEntries();
      await appendFile(path, frame(3, index, flags, chain(TWO, index, 'forged')));
      await expect(open()).rejects.toThrow('expected entry 3 of group 1, found');
    }
  });

  test('a record of a later version', async () => {
    const { path, frame, open } = await twoEntries();
    await appendFile(path, frame(3, 3, 0, 0, 99 as RecordType));
    await expect(open()).rejects.toThrow('a known record type, found 99');
  });

  test('a second base frame', async () => {
    const { path, frame, open } = await twoEntries();
    await appendFile(path, frame(3, 3, 0, 0, RecordType.BASE));
    await expect(open()).rejects.toThrow('one base frame only');
  });

  test('a frame that is there twice counts once', async () => {
    const { path, secondAt, open } = await twoEntries();
    const bytes = await readFile(path);
    await appendFile(path, bytes.subarray(secondAt));
    expect(await open()).toEqual({ texts: ['one', 'two'], cut: true });
    expect((await readFile(path)).equals(bytes)).toBe(true);
  });

  test('a frame that is missing between two others', async () => {
    const { path, secondAt, frame, open } = await twoEntries();
    const bytes = await readFile(path);
    await writeFile(path, Buffer.concat([bytes.subarray(0, secondAt), frame(3, 2, 0, chain(ONE, 2, 'forged'))]));
    await expect(open()).rejects.toThrow(/expected frame 2, found frame 3/);
  });
});
