import { cp, open, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import type { EntryLog } from '@sluice/storage/entry-log-contract';
import { Runway } from '../src/entry-log/segment/runway.ts';
import { SpareSegments } from '../src/entry-log/segment/spare-segments.ts';
import { FaultyFiles } from './support/faulty-files.ts';
import { codeOf, entry, openTestLog, readTexts, write } from './support/open-test-log.ts';
import { removeTemporaryDirectories, temporaryDirectory } from './support/temporary-directory.ts';

afterAll(removeTemporaryDirectories);

const SEGMENT_BYTES = 4_000;
const TEXT_BYTES = 900;

async function opened() {
  const directory = await temporaryDirectory();
  const files = new FaultyFiles();
  const { log, logger } = await openTestLog(directory, { files, segmentBytes: SEGMENT_BYTES });
  return { directory, files, log, logger };
}

const textOf = (index: number) => `${index} `.padEnd(TEXT_BYTES, 'x');

async function append(log: EntryLog, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const index = log.lastIndex(1) + 1;
    await log.append([write(1, [entry(index, 1, textOf(index))])]);
  }
}

/** Rolls until there are so many sealed segments, then gives the oldest back. */
async function releaseOldest(log: EntryLog, sealed = 2): Promise<void> {
  while (log.sealedSegments().length < sealed) await append(log, 1);
  const [oldest] = log.sealedSegments();
  const last = oldest?.groups.get(1)?.last ?? 0;
  log.compact(1, last, 1);
  await log.release(oldest?.segmentId ?? 0, []);
}

const spares = async (directory: string) => (await readdir(directory)).filter((name) => name.startsWith('spare-'));
const segmentPath = (directory: string, id: number) => join(directory, `${id.toString(16).padStart(16, '0')}.log`);

/** What a process that is killed now leaves behind, opened. */
async function afterKill(directory: string) {
  const copy = await temporaryDirectory();
  await cp(directory, copy, { recursive: true });
  return { copy, ...(await openTestLog(copy, { segmentBytes: SEGMENT_BYTES })) };
}

async function contents(log: EntryLog): Promise<string[]> {
  return await readTexts(log, 1, log.firstIndex(1), log.lastIndex(1));
}

const expected = (log: EntryLog) =>
  Array.from({ length: log.lastIndex(1) - log.firstIndex(1) + 1 }, (_, i) => textOf(log.firstIndex(1) + i));

test('a segment that is given back is written again under its next name', async () => {
  const { log, directory } = await opened();
  await append(log, 1);
  const { ino } = await stat(segmentPath(directory, 1));
  await releaseOldest(log);
  expect(await spares(directory)).toEqual(['spare-1']);
  const { segmentId } = log.activeSegment();
  while (log.activeSegment().segmentId === segmentId) await append(log, 1);
  expect(await spares(directory)).toEqual([]);
  expect((await stat(segmentPath(directory, segmentId + 1))).ino).toBe(ino);
  expect(await contents(log)).toEqual(expected(log));
  await log.close();
  const { log: reopened, logger } = await openTestLog(directory, { segmentBytes: SEGMENT_BYTES });
  expect(await contents(reopened)).toEqual(expected(reopened));
  expect(logger.lines).toEqual([]);
  await reopened.close();
});

test('after every append a kill leaves what was acknowledged, and nothing of the segment before', async () => {
  const { log, directory } = await opened();
  for (let round = 0; round < 4; round++) {
    await releaseOldest(log);
    for (let i = 0; i < 6; i++) {
      await append(log, 1);
      const killed = await afterKill(directory);
      expect(killed.log.lastIndex(1)).toBe(log.lastIndex(1));
      expect(await contents(killed.log)).toEqual(expected(log));
      expect(killed.logger.has('cut a torn write')).toBe(false);
      expect(await spares(killed.copy)).toEqual([]);
      await append(killed.log, 4);
      expect(await contents(killed.log)).toEqual(expected(killed.log));
      await killed.log.verify();
      await killed.log.close();
    }
  }
  await log.close();
});

test('a frame that is torn over such bytes is cut off, and told; acknowledged, it is damage', async () => {
  const { log, directory } = await opened();
  await releaseOldest(log);
  const { segmentId } = log.activeSegment();
  while (log.activeSegment().segmentId === segmentId) await append(log, 1);
  const before = log.mark().position;
  await append(log, 1);
  const mark = log.mark();
  const file = await open(segmentPath(directory, mark.segmentId), 'r+');
  await file.write(Buffer.alloc(8, 0xee), 0, 8, before + 200);
  await file.close();
  const copy = await temporaryDirectory();
  await cp(directory, copy, { recursive: true });
  expect(await codeOf(openTestLog(copy, { durableMark: mark, segmentBytes: SEGMENT_BYTES }))).toBe('ENTRY_LOG_DAMAGED');
  const killed = await afterKill(directory);
  expect(killed.log.lastIndex(1)).toBe(log.lastIndex(1) - 1);
  expect(killed.logger.has('cut a torn write')).toBe(true);
  await killed.log.close();
  await log.close();
});

test('two are kept at most; none when the log comes to rest', async () => {
  const { log, directory } = await opened();
  while (log.sealedSegments().length < 5) await append(log, 1);
  for (let i = 0; i < 4; i++) await releaseOldest(log, 1);
  expect(await spares(directory)).toHaveLength(SpareSegments.FILES_MAX);
  await append(log, 1);
  await log.rest();
  expect(await spares(directory)).toEqual([]);
  await log.close();
});

test('nor does the one that is written keep more than it has, and what follows is read as ever', async () => {
  const directory = await temporaryDirectory();
  const { log } = await openTestLog(directory, { segmentBytes: 4 * Runway.BYTES });
  const texts: string[] = [];
  const appendLarge = async (): Promise<void> => {
    const index = log.lastIndex(1) + 1;
    texts.push(`${index} `.padEnd(Runway.BYTES - 1_000, 'x'));
    await log.append([write(1, [entry(index, 1, texts.at(-1) as string)])]);
  };
  while (log.sealedSegments().length < 1) await appendLarge();
  const [oldest] = log.sealedSegments();
  const last = oldest?.groups.get(1)?.last ?? 0;
  log.compact(1, last, 1);
  await log.release(oldest?.segmentId ?? 0, []);
  const { segmentId } = log.activeSegment();
  while (log.activeSegment().segmentId === segmentId) await appendLarge();
  const size = async () => (await stat(segmentPath(directory, log.activeSegment().segmentId))).size;
  expect(await size()).toBeGreaterThan(log.mark().position + Runway.BYTES);
  await log.rest();
  expect(await size()).toBe(log.mark().position);
  await appendLarge();
  expect(await contents(log)).toEqual(texts.slice(last));
  await log.close();
  const { log: reopened } = await openTestLog(directory);
  expect(await contents(reopened)).toEqual(texts.slice(last));
  await reopened.close();
});

test('a full disk gets them back', async () => {
  const { log, directory, files } = await opened();
  await releaseOldest(log);
  expect(await spares(directory)).toHaveLength(1);
  files.onWrite = () => 'ENOSPC';
  expect(await codeOf(append(log, 1))).toBe('ENTRY_LOG_FULL');
  expect(await spares(directory)).toEqual([]);
  files.onWrite = () => undefined;
  await append(log, 10);
  expect(await contents(log)).toEqual(expected(log));
  await log.close();
});

test('a segment that somebody reads is not written again', async () => {
  const { log, directory, files } = await opened();
  await append(log, 1);
  while (log.sealedSegments().length < 2) await append(log, 1);
  let go = (): void => {};
  const gate = new Promise<void>((resolve) => {
    go = resolve;
  });
  let isReading = (): void => {};
  const reading = new Promise<void>((resolve) => {
    isReading = resolve;
  });
  const { read } = files;
  files.read = async (fd, into, position) => {
    // Of the entry, not of the segment's index.
    if (into.length === TEXT_BYTES) {
      isReading();
      await gate;
    }
    return await read.call(files, fd, into, position);
  };
  const entries = log.read(1, 1, 1, 10_000);
  await reading;
  files.read = read;
  await releaseOldest(log);
  expect(await spares(directory)).toEqual([]);
  await append(log, 10);
  go();
  expect(Buffer.from((await entries)[0]?.data ?? []).toString()).toBe(textOf(1));
  await log.close();
});

test('one that vanished is no reason to write nothing', async () => {
  const { log, directory, files } = await opened();
  await releaseOldest(log);
  await files.unlink(join(directory, 'spare-1'));
  await append(log, 10);
  expect(await contents(log)).toEqual(expected(log));
  await log.close();
  await writeFile(join(directory, 'spare-7'), 'of an earlier life');
  await (await openTestLog(directory)).log.close();
  expect(await spares(directory)).toEqual([]);
});
