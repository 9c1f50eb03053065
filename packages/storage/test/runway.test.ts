import { copyFile, mkdir, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import type { EntryLog } from '@sluice/storage/entry-log-contract';
import { Runway } from '../src/entry-log/segment/runway.ts';
import { FaultyFiles } from './support/faulty-files.ts';
import { codeOf, entry, openTestLog, readTexts, write } from './support/open-test-log.ts';
import { removeTemporaryDirectories, temporaryDirectory } from './support/temporary-directory.ts';

afterAll(removeTemporaryDirectories);

const FIRST = '0000000000000001.log';
const SMALL = 20;

async function opened(segmentBytes?: number) {
  const directory = await temporaryDirectory();
  const files = new FaultyFiles();
  const log = (await openTestLog(directory, segmentBytes === undefined ? { files } : { files, segmentBytes })).log;
  return { directory, files, log };
}

async function appendMany(log: EntryLog, first: number, count: number, text = 'small'): Promise<void> {
  for (let index = first; index < first + count; index++) {
    await log.append([write(1, [entry(index, 1, `${text} ${index}`)])]);
  }
}

const texts = (log: EntryLog) => readTexts(log, 1, 1, log.lastIndex(1));
const sizeOf = async (directory: string, file = FIRST) => (await stat(join(directory, file))).size;

/** What a process that is killed now leaves behind. */
async function left(directory: string): Promise<string> {
  const copy = await temporaryDirectory();
  await mkdir(copy, { recursive: true });
  await copyFile(join(directory, FIRST), join(copy, FIRST));
  return copy;
}

test('small frames in a row find zeros to be written over: the file does not grow with them', async () => {
  const { log, directory, files } = await opened();
  await appendMany(log, 1, SMALL);
  const size = await sizeOf(directory);
  expect(size).toBeGreaterThan(log.mark().position + Runway.BYTES / 2);
  files.writes = 0;
  await appendMany(log, SMALL + 1, SMALL);
  expect(files.writes).toBe(SMALL);
  expect(await sizeOf(directory)).toBe(size);
  await log.close();
  expect(await sizeOf(directory)).toBe(log.mark().position);
});

test('large frames find none, nor do a few small ones among them', async () => {
  const { log, directory } = await opened();
  for (let index = 1; index <= 30; index += 2) {
    await appendMany(log, index, 1, 'large'.repeat(Runway.BYTES / Runway.FRAMES_MIN));
    await appendMany(log, index + 1, 1);
  }
  expect(await sizeOf(directory)).toBe(log.mark().position);
  await log.close();
});

test('a process that was killed leaves zeros, which are no torn write; what was acknowledged is there', async () => {
  const { log, directory } = await opened();
  await appendMany(log, 1, SMALL);
  const mark = log.mark();
  const copy = await left(directory);
  const { log: reopened, logger } = await openTestLog(copy, { durableMark: mark });
  expect(await texts(reopened)).toHaveLength(SMALL);
  expect(logger.has('cut a torn write')).toBe(false);
  expect(await sizeOf(copy)).toBe(mark.position);
  await appendMany(reopened, SMALL + 1, SMALL);
  expect(await texts(reopened)).toHaveLength(2 * SMALL);
  await reopened.close();
  await log.close();
});

test('a frame that was lost among them is damage where it was acknowledged', async () => {
  const { log, directory } = await opened();
  await appendMany(log, 1, SMALL);
  const before = log.mark().position;
  await appendMany(log, SMALL + 1, 1);
  const mark = log.mark();
  const copy = await left(directory);
  const size = await sizeOf(copy);
  await truncate(join(copy, FIRST), before);
  await truncate(join(copy, FIRST), size);
  expect(await codeOf(openTestLog(copy, { durableMark: mark }))).toBe('ENTRY_LOG_DAMAGED');
  await log.close();
});

test('a segment is cut to its end, durably, before the next one says how long it is', async () => {
  const { log, directory, files } = await opened();
  await appendMany(log, 1, SMALL);
  const steps: string[] = [];
  files.onTruncate = () => void steps.push('cut');
  files.onSync = () => void steps.push('sync');
  files.onRename = () => void steps.push('next');
  const end = log.mark().position;
  await log.seal();
  expect(steps.slice(0, 4)).toEqual(['cut', 'sync', 'sync', 'next']);
  expect(await sizeOf(directory)).toBe(end);
  await appendMany(log, SMALL + 1, SMALL);
  await log.close();
  const { log: reopened } = await openTestLog(directory);
  await reopened.verify();
  expect(await texts(reopened)).toHaveLength(2 * SMALL);
  await reopened.close();
});

test('a cut of which nobody learnt that it is durable is made again at the next start', async () => {
  const { log, directory, files } = await opened();
  await appendMany(log, 1, SMALL);
  const end = log.mark().position;
  files.onTruncate = () => {
    files.onSync = () => 'EIO';
  };
  expect(await codeOf(log.seal())).toBe('ENTRY_LOG_FENCED');
  await log.close();
  expect(await sizeOf(directory)).toBe(end);
  const again = new FaultyFiles();
  const steps: string[] = [];
  again.onTruncate = () => void steps.push('cut');
  again.onSync = () => void steps.push('sync');
  const { log: reopened } = await openTestLog(directory, { files: again });
  expect(steps.slice(0, 2)).toEqual(['cut', 'sync']);
  await reopened.close();
});

test.each(['ENOSPC', 100])('no room for zeros (%s) is no full disk', async (fault) => {
  const { log, directory, files } = await opened();
  files.onWrite = (sizeBytes) => (sizeBytes >= Runway.BYTES ? fault : undefined);
  await appendMany(log, 1, SMALL);
  expect(await texts(log)).toHaveLength(SMALL);
  await log.seal();
  await log.close();
  const { log: reopened } = await openTestLog(directory);
  expect(await texts(reopened)).toHaveLength(SMALL);
  await reopened.close();
});

test('zeros that fail fence the log like a frame', async () => {
  const { log, files } = await opened();
  files.onWrite = (sizeBytes) => (sizeBytes >= Runway.BYTES ? 'EIO' : undefined);
  expect(await codeOf(appendMany(log, 1, SMALL))).toBe('ENTRY_LOG_FENCED');
  await log.close();
});
