import { cp, readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { FaultyFiles } from './support/faulty-files.ts';
import { codeOf, entry, openTestLog, readTexts, write } from './support/open-test-log.ts';
import { removeTemporaryDirectories, temporaryDirectory } from './support/temporary-directory.ts';

afterAll(removeTemporaryDirectories);

/** Its first segment has an entry from before the group's log begins, of which nothing is in memory after a start. */
async function logWithOneAlone(directory: string): Promise<void> {
  const { log } = await openTestLog(directory, { sync: false });
  await log.append([write(1, [entry(1, 1, 'a')])]);
  await log.seal();
  await log.append([write(1, [entry(2, 1, 'b')])]);
  log.compact(1, 1, 1);
  await log.append([]);
  await log.close();
}

describe('releasing segments', () => {
  test('gives the space back while appends and reads go on, and keeps what lives', async () => {
    const directory = await temporaryDirectory();
    const { log, metrics } = await openTestLog(directory, { segmentBytes: 20_000, sync: false });
    const text = (index: number) => `${index} `.repeat(50);
    let next = 1;
    const append = async () => {
      await log.append([write(1, [entry(next, 1, text(next))])]);
      next++;
    };
    while (next <= 1000) await append();
    log.compact(1, 900, 1);
    await append();
    const before = log.diskBytes;
    const live = [7, 8, 500, 899];
    const release = async () => {
      for (const { segmentId, groups } of log.sealedSegments()) {
        if ((groups.get(1)?.first ?? 0) > 900) continue;
        await log.release(
          segmentId,
          live.map((index) => ({ groupId: 1, index })),
        );
      }
    };
    const read = async () => {
      for (let round = 0; round < 60; round++) {
        expect(await readTexts(log, 1, 500, 500)).toEqual([text(500)]);
        expect(await readTexts(log, 1, 905, 905)).toEqual([text(905)]);
      }
    };
    const write200 = async () => {
      while (next <= 1200) await append();
    };
    await Promise.all([release(), read(), write200()]);
    expect(log.diskBytes).toBeLessThan(before / 2);
    expect(metrics.gauge('sluice_storage_disk_bytes', '', { kind: 'entry_log' }).value).toBe(log.diskBytes);
    const check = async (subject: typeof log) => {
      for (const index of live) expect(await readTexts(subject, 1, index, index)).toEqual([text(index)]);
      expect(await codeOf(subject.read(1, 9, 9, 1))).toBe('ENTRY_MISSING');
      expect((await readTexts(subject, 1, 901, 1200)).every((found, i) => found === text(901 + i))).toBe(true);
    };
    await check(log);
    await log.close();
    const { log: reopened } = await openTestLog(directory, { sync: false });
    await check(reopened);
    await reopened.close();
  });

  test('a segment that goes while all are verified is none that is missing; one that is gone otherwise is', async () => {
    const directory = await temporaryDirectory();
    const files = new FaultyFiles();
    const { log } = await openTestLog(directory, { files, sync: false });
    for (const index of [1, 2, 3]) {
      await log.append([write(1, [entry(index, 1, 'a')])]);
      await log.seal();
    }
    log.compact(1, 1, 1);
    await log.append([]);
    const open = files.open.bind(files);
    const opened: string[] = [];
    files.open = async (path, mode, writes) => {
      if (path.endsWith('1.log')) await log.release(1, []);
      if (path.endsWith('.log')) opened.push(path.slice(-5));
      return open(path, mode, writes);
    };
    const progress: [number, number][] = [];
    await log.verify((done, total) => progress.push([done, total]));
    expect(opened).toEqual(['1.log', '2.log', '3.log']);
    expect(progress.at(-1)?.[0]).toBe(progress.at(-1)?.[1]);
    await unlink(join(directory, '0000000000000002.log'));
    expect(await codeOf(log.verify())).toBe('ENTRY_LOG_DAMAGED');
    await log.close();
  });

  test('what is looked up in a segment that goes meanwhile is found where it stands then', async () => {
    const directory = await temporaryDirectory();
    await logWithOneAlone(directory);
    const files = new FaultyFiles();
    const { log, logger } = await openTestLog(directory, { files, sync: false });
    const open = files.open.bind(files);
    let isFirst = true;
    files.open = async (path, mode, writes) => {
      if (path.endsWith('1.idx') && isFirst) {
        isFirst = false;
        await log.release(1, [{ groupId: 1, index: 1 }]);
      }
      return open(path, mode, writes);
    };
    expect(await readTexts(log, 1, 1, 1)).toEqual(['a']);
    expect(isFirst).toBe(false);
    expect(logger.has('unusable')).toBe(false);
    await log.close();
  });

  test('the index of a segment that goes while it is made again goes as well', async () => {
    const directory = await temporaryDirectory();
    const files = new FaultyFiles();
    await logWithOneAlone(directory);
    const { log } = await openTestLog(directory, { files, sync: false });
    await unlink(join(directory, '0000000000000001.idx'));
    const open = files.open.bind(files);
    let isReleased = false;
    files.open = async (path, mode, writes) => {
      if (path.endsWith('1.idx.tmp')) {
        await log.release(1, [{ groupId: 1, index: 1 }]);
        isReleased = true;
      }
      return open(path, mode, writes);
    };
    expect(await readTexts(log, 1, 1, 1)).toEqual(['a']);
    expect(isReleased).toBe(true);
    expect((await readdir(directory)).filter((name) => name.startsWith('0000000000000001'))).toEqual([]);
    await log.close();
  });

  test('a crash between the note and the removal is finished at the next start', async () => {
    const directory = await temporaryDirectory();
    const files = new FaultyFiles();
    const { log } = await openTestLog(directory, { files, sync: false });
    await log.append([write(1, [entry(1, 1, 'a'), entry(2, 1, 'b')])]);
    await log.seal();
    log.compact(1, 1, 1);
    await log.append([]);
    files.onUnlink = () => 'EIO';
    await log.release(1, []);
    files.onUnlink = () => undefined;
    await log.close();
    expect(await readdir(directory)).toContain('0000000000000001.log');
    const { log: reopened } = await openTestLog(directory, { sync: false });
    expect(await readdir(directory)).not.toContain('0000000000000001.log');
    expect(await readTexts(reopened, 1, 2, 2)).toEqual(['b']);
    await reopened.close();
  });

  test('so is one behind the start of the next segment, which names no segment that was given back', async () => {
    const directory = await temporaryDirectory();
    const files = new FaultyFiles();
    const { log } = await openTestLog(directory, { files, sync: false });
    await log.append([write(1, [entry(1, 1, 'a'), entry(2, 1, 'b')])]);
    await log.seal();
    log.compact(1, 1, 1);
    await log.append([]);
    let removing = (): void => {};
    const isRemoving = new Promise<void>((resolve) => {
      removing = resolve;
    });
    let remove = (): void => {};
    const isRemoved = new Promise<void>((resolve) => {
      remove = resolve;
    });
    const unlink = files.unlink.bind(files);
    files.unlink = async (path) => {
      removing();
      await isRemoved;
      await unlink(path);
    };
    const released = log.release(1, []);
    await isRemoving;
    await log.seal();
    const crashed = await temporaryDirectory();
    await cp(directory, crashed, { recursive: true, filter: (path) => !path.includes('LOCK') });
    remove();
    await released;
    await log.close();
    const { log: reopened, logger } = await openTestLog(crashed);
    expect(await readdir(crashed)).not.toContain('0000000000000001.log');
    expect(logger.has('not part of the entry log')).toBe(false);
    expect(await readTexts(reopened, 1, 2, 2)).toEqual(['b']);
    await reopened.close();
  });

  test('a crash between the copies and the note leaves both copies, and either will do', async () => {
    const directory = await temporaryDirectory();
    const files = new FaultyFiles();
    const { log } = await openTestLog(directory, { files, sync: false });
    await log.append([write(1, [entry(1, 1, 'a'), entry(2, 1, 'b')])]);
    await log.seal();
    let writes = 0;
    files.onWrite = () => (++writes > 1 ? 'EIO' : undefined);
    expect(await codeOf(log.release(1, []))).toBe('ENTRY_LOG_FENCED');
    expect(writes).toBe(2);
    expect(await readTexts(log, 1, 1, 2)).toEqual(['a', 'b']);
    await log.close();
    const { log: reopened } = await openTestLog(directory, { sync: false });
    expect(await readTexts(reopened, 1, 1, 2)).toEqual(['a', 'b']);
    await reopened.release(1, []);
    expect(await readTexts(reopened, 1, 1, 2)).toEqual(['a', 'b']);
    await reopened.close();
  });

  test('a front cut that only memory knows becomes durable with the release that relies on it', async () => {
    const directory = await temporaryDirectory();
    const { log } = await openTestLog(directory, { sync: false });
    await log.append([write(1, [entry(1, 1, 'a'), entry(2, 1, 'b')])]);
    await log.seal();
    await log.append([write(1, [entry(3, 1, 'c')])]);
    log.compact(1, 2, 1);
    await log.release(1, []);
    await log.close();
    const { log: reopened } = await openTestLog(directory, { sync: false });
    expect(reopened.firstIndex(1)).toBe(3);
    expect(await readTexts(reopened, 1, 3, 3)).toEqual(['c']);
    await reopened.close();
  });

  test('an entry that is superseded while it is about to be moved does not come back', async () => {
    const directory = await temporaryDirectory();
    const files = new FaultyFiles();
    const { log } = await openTestLog(directory, { files, sync: false });
    await log.append([write(1, [entry(1, 1, 'a'), entry(2, 1, 'old'), entry(3, 1, 'old')])]);
    await log.seal();
    let append: Promise<void> | undefined;
    files.onRead = (_position, sizeBytes) => {
      // While the entries are being read that are to be moved.
      if (sizeBytes === 'aoldold'.length) append = log.append([write(1, [entry(2, 2, 'new')])]);
      return undefined;
    };
    await log.release(1, []);
    expect(append).toBeDefined();
    await append;
    files.onRead = () => undefined;
    const check = async (subject: typeof log) => {
      expect(subject.sealedSegments()).toEqual([]);
      expect(await readTexts(subject, 1, 1, 2)).toEqual(['a', 'new']);
      expect(await codeOf(subject.read(1, 3, 3, 100))).toBe('ENTRY_MISSING');
    };
    await check(log);
    await log.close();
    const { log: reopened } = await openTestLog(directory, { sync: false });
    await check(reopened);
    await reopened.close();
  });

  test('votes survive the segments they were written in', async () => {
    const directory = await temporaryDirectory();
    const { log } = await openTestLog(directory, { sync: false });
    await log.append([write(9, [], { term: 7, vote: 3, commit: 0 })]);
    await log.seal();
    await log.append([write(1, [entry(1, 1, 'a')])]);
    await log.release(1, []);
    await log.close();
    const { log: reopened } = await openTestLog(directory, { sync: false });
    expect(reopened.groups.get(9)?.hardState).toEqual({ term: 7, vote: 3, commit: 0 });
    await reopened.close();
  });

  test('what a later segment superseded stays superseded when that segment is gone and the index is rebuilt', async () => {
    const directory = await temporaryDirectory();
    const { log } = await openTestLog(directory, { sync: false });
    await log.append([write(1, [entry(1, 1, 'a'), entry(2, 1, 'old'), entry(3, 1, 'old')])]);
    await log.seal();
    await log.append([write(1, [entry(2, 2, 'new'), entry(3, 2, 'new')])]);
    await log.seal();
    await log.append([write(1, [entry(4, 2, 'd')])]);
    log.compact(1, 4, 2);
    await log.append([write(1, [entry(5, 2, 'e')])]);
    await log.release(2, []);
    await log.seal();
    await log.close();
    const { rm } = await import('node:fs/promises');
    await rm(`${directory}/0000000000000001.idx`);
    const { log: reopened } = await openTestLog(directory, { sync: false });
    expect(await readTexts(reopened, 1, 1, 1)).toEqual(['a']);
    expect(await codeOf(reopened.read(1, 2, 2, 100))).toBe('ENTRY_MISSING');
    await reopened.close();
  });
});
