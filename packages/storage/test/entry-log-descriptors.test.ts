import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import type { EntryLog } from '@sluice/storage/entry-log-contract';
import { FaultyFiles } from './support/faulty-files.ts';
import { codeOf, entry, openTestLog, readTexts, write } from './support/open-test-log.ts';
import { removeTemporaryDirectories, temporaryDirectory } from './support/temporary-directory.ts';

afterAll(removeTemporaryDirectories);

const append = (log: EntryLog, index: number, text = `entry ${index}`) =>
  log.append([write(1, [entry(index, 1, text)])]);

const long = (letter: string): string => letter.repeat(300);

async function faulty(segmentBytes?: number) {
  const directory = await temporaryDirectory();
  const files = new FaultyFiles();
  const opened = await openTestLog(directory, segmentBytes === undefined ? { files } : { files, segmentBytes });
  return { directory, files, ...opened };
}

async function reread(directory: string): Promise<string[]> {
  const { log } = await openTestLog(directory);
  const texts = await readTexts(log, 1, 1, log.lastIndex(1));
  await log.close();
  return texts;
}

describe.each(['EMFILE', 'ENFILE'])('%s', (code) => {
  test.each(['.log', '.idx'])('an entry whose segment (%s) cannot be opened for it is not damaged', async (kind) => {
    const { log: first, directory } = await faulty();
    await append(first, 1);
    await append(first, 2);
    await first.seal();
    // Of a log that begins behind them nothing is looked up by the open.
    first.compact(1, 2, 1);
    await first.append([]);
    await first.close();
    const files = new FaultyFiles();
    const { log, metrics } = await openTestLog(directory, { files });
    files.onOpen = (path) => (path.endsWith(kind) ? code : undefined);
    await expect(log.read(1, 1, 2, 1000)).rejects.toMatchObject({ code: 'FILES_EXHAUSTED', retriable: true });
    const file = join(directory, '0000000000000001.log');
    expect(metrics.counter('sluice_storage_corruptions_total', '', { file }).value).toBe(0);
    files.onOpen = () => undefined;
    expect(await readTexts(log, 1, 1, 2)).toEqual(['entry 1', 'entry 2']);
    await log.close();
  });

  test('a sealed segment that cannot be opened for it when the log is opened is not damaged', async () => {
    const { log: first, directory } = await faulty();
    await append(first, 1);
    await first.seal();
    await append(first, 2);
    await first.close();
    const files = new FaultyFiles();
    files.onOpen = (path) => (path.endsWith('0000000000000001.log') ? code : undefined);
    await expect(openTestLog(directory, { files })).rejects.toMatchObject({ code: 'FILES_EXHAUSTED', retriable: true });
    expect(files.opened).toBe(0);
    expect(await reread(directory)).toEqual(['entry 1', 'entry 2']);
  });

  test('without one for the next segment the present one goes on', async () => {
    const { log, files, directory, logger, metrics } = await faulty(400);
    await append(log, 1, long('a'));
    files.onOpen = () => code;
    await append(log, 2, long('b'));
    expect(await codeOf(log.seal())).toBe('FILES_EXHAUSTED');
    await append(log, 3, long('c'));
    expect(log.sealedSegments()).toEqual([]);
    expect(logger.lines.map(({ message }) => message)).toEqual(['a segment of the entry log goes on beyond its size']);
    expect(metrics.counter('sluice_storage_files_exhausted_total', '').value).toBe(3);
    files.onOpen = () => undefined;
    await append(log, 4, long('d'));
    expect(log.sealedSegments()).toHaveLength(1);
    await log.close();
    expect(await reread(directory)).toEqual(['a', 'b', 'c', 'd'].map(long));
  });

  test('a new segment that has its name waits for the sync of it, and the old one is not written on', async () => {
    const { log, files, directory } = await faulty(400);
    await append(log, 1, long('a'));
    files.onSyncDirectory = () => code;
    expect(await codeOf(append(log, 2, long('b')))).toBe('FILES_EXHAUSTED');
    // Small enough for the old one.
    expect(await codeOf(append(log, 2, 'b'))).toBe('FILES_EXHAUSTED');
    const crashed = await temporaryDirectory();
    await cp(directory, crashed, { recursive: true, filter: (path) => !path.includes('LOCK') });
    expect(await reread(crashed)).toEqual([long('a')]);
    files.onSyncDirectory = () => undefined;
    await append(log, 2, long('b'));
    expect(log.sealedSegments()).toHaveLength(1);
    await log.close();
    expect(files.opened).toBe(0);
    expect(await reread(directory)).toEqual(['a', 'b'].map(long));
  });

  test('a new segment whose name is not synced yet is given up with the log', async () => {
    const { log, files, directory } = await faulty(400);
    await append(log, 1, long('a'));
    files.onSyncDirectory = () => code;
    expect(await codeOf(append(log, 2, long('b')))).toBe('FILES_EXHAUSTED');
    await log.close();
    expect(files.opened).toBe(0);
    expect(await reread(directory)).toEqual([long('a')]);
  });
});

test('a name that cannot be synced for another reason fences, however long it waited', async () => {
  const { log, files } = await faulty(400);
  await append(log, 1, long('a'));
  files.onSyncDirectory = () => 'EMFILE';
  expect(await codeOf(append(log, 2, long('b')))).toBe('FILES_EXHAUSTED');
  files.onSyncDirectory = () => 'EIO';
  expect(await codeOf(append(log, 2, long('b')))).toBe('ENTRY_LOG_FENCED');
  await log.close();
});
