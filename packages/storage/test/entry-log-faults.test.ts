import { open, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import type { EntryLog } from '@sluice/storage/entry-log-contract';
import { FaultyFiles } from './support/faulty-files.ts';
import { codeOf, entry, openTestLog, readTexts, write } from './support/open-test-log.ts';
import { removeTemporaryDirectories, temporaryDirectory } from './support/temporary-directory.ts';

afterAll(removeTemporaryDirectories);

async function faulty(segmentBytes?: number) {
  const directory = await temporaryDirectory();
  const files = new FaultyFiles();
  const opened = await openTestLog(directory, segmentBytes === undefined ? { files } : { files, segmentBytes });
  return { directory, files, ...opened };
}

const append = (log: EntryLog, index: number, text = `entry ${index}`) =>
  log.append([write(1, [entry(index, 1, text)])]);

async function reread(directory: string): Promise<string[]> {
  const { log } = await openTestLog(directory);
  const texts = await readTexts(log, 1, 1, log.lastIndex(1));
  await log.close();
  return texts;
}

describe('what an append costs', () => {
  test('one synced write, whatever is in it', async () => {
    const { log, files, metrics } = await faulty();
    files.writes = 0;
    files.syncs = 0;
    await append(log, 1);
    expect([files.writes, files.syncs]).toEqual([1, 1]);
    log.compact(1, 1, 1);
    const groups = [...Array(50).keys()].map((groupId) => {
      const index = groupId === 1 ? 2 : 1;
      const entries = [entry(index, 1, 'small'), entry(index + 1, 1, 'large'.repeat(5000))];
      return write(groupId, entries, { term: 1, vote: 1, commit: 0 });
    });
    await log.append(groups);
    expect([files.writes, files.syncs]).toEqual([2, 2]);
    // The two, and none for the segment's start: that is not an append.
    expect(metrics.histogram('sluice_storage_fsync_seconds', '', []).count).toBe(2);
    await log.close();
  });

  test('nothing when there is nothing to write', async () => {
    const { log, files } = await faulty();
    files.writes = 0;
    await log.append([]);
    await log.append([write(1, [])]);
    expect(files.writes).toBe(0);
    await log.close();
  });
});

describe('a full disk', () => {
  test.each(['ENOSPC', 'EDQUOT', 0, 1, 50, 70])('%s: the append is refused, the log stays usable', async (fault) => {
    const { log, files, directory } = await faulty();
    await append(log, 1);
    const mark = log.mark();
    files.onWrite = () => fault;
    const refused = append(log, 2, 'refused');
    await expect(refused).rejects.toMatchObject({ code: 'ENTRY_LOG_FULL', retriable: true });
    expect(log.lastIndex(1)).toBe(1);
    expect(log.mark()).toEqual(mark);
    files.onWrite = () => undefined;
    await append(log, 2, 'second try');
    expect(await readTexts(log, 1, 1, 2)).toEqual(['entry 1', 'second try']);
    await log.close();
    expect(await reread(directory)).toEqual(['entry 1', 'second try']);
  });

  test('a compaction that found no room rides on the next append', async () => {
    const { log, files, directory } = await faulty();
    await append(log, 1);
    log.compact(1, 1, 1);
    files.onWrite = () => 'ENOSPC';
    expect(await codeOf(log.append([]))).toBe('ENTRY_LOG_FULL');
    files.onWrite = () => undefined;
    await append(log, 2);
    await log.close();
    const { log: reopened } = await openTestLog(directory);
    expect(reopened.firstIndex(1)).toBe(2);
    await reopened.close();
  });

  test('no room for a new segment: the old one stays in use', async () => {
    const { log, files, directory } = await faulty(400);
    await append(log, 1, 'a'.repeat(200));
    files.onWrite = () => 'ENOSPC';
    expect(await codeOf(append(log, 2, 'b'.repeat(200)))).toBe('ENTRY_LOG_FULL');
    expect(log.sealedSegments()).toEqual([]);
    files.onWrite = () => undefined;
    await append(log, 2, 'c'.repeat(200));
    expect(log.sealedSegments()).toHaveLength(1);
    await log.close();
    expect(await reread(directory)).toEqual(['a'.repeat(200), 'c'.repeat(200)]);
  });

  test.each(['ENOSPC', 'EIO', 10])(
    '%s: a start that cannot write a lost segment index reads the segment',
    async (fault) => {
      const { log, files, directory } = await faulty();
      await append(log, 1);
      await append(log, 2);
      await log.seal();
      await append(log, 3);
      await log.close();
      await rm(join(directory, '0000000000000001.idx'));
      let isFirst = true;
      files.onWrite = () => {
        const outcome = isFirst ? fault : undefined;
        isFirst = false;
        return outcome;
      };
      const { log: reopened } = await openTestLog(directory, { files });
      expect(await readTexts(reopened, 1, 1, 3)).toEqual(['entry 1', 'entry 2', 'entry 3']);
      await reopened.close();
    },
  );

  test('space can be given back although there is no room to note it', async () => {
    const { log, files, directory } = await faulty();
    await append(log, 1);
    log.compact(1, 1, 1);
    await append(log, 2);
    await log.seal();
    await append(log, 3);
    log.compact(1, 2, 1);
    await append(log, 4);
    let room = 0;
    files.onWrite = (sizeBytes) => {
      if (sizeBytes > room) return 'ENOSPC';
      room -= sizeBytes;
      return undefined;
    };
    files.onUnlink = () => {
      room += 10_000;
      return undefined;
    };
    expect(await codeOf(append(log, 5))).toBe('ENTRY_LOG_FULL');
    await log.release(1, []);
    await append(log, 5);
    await log.close();
    const { log: reopened } = await openTestLog(directory);
    expect(await readTexts(reopened, 1, 3, 5)).toEqual(['entry 3', 'entry 4', 'entry 5']);
    await reopened.close();
  });
});

describe('a process that was killed', () => {
  test('leaves what it did not sync to be made durable before anything is built on it', async () => {
    const { log, directory } = await faulty();
    await append(log, 1);
    await log.close();
    const steps: string[] = [];
    const files = new FaultyFiles();
    files.onWrite = (sizeBytes) => {
      // Not the space held in reserve.
      if (sizeBytes < 10_000) steps.push('write');
      return undefined;
    };
    files.onSync = () => {
      steps.push('sync');
      return undefined;
    };
    files.syncDirectory = async (synced) => {
      expect(synced).toBe(directory);
      steps.push('directory');
    };
    const { log: reopened } = await openTestLog(directory, { files });
    expect(steps).toEqual(['write', 'sync', 'sync', 'directory']);
    await reopened.close();
    files.onSync = () => 'EIO';
    await expect(openTestLog(directory, { files })).rejects.toMatchObject({ code: 'EIO' });
  });
});

describe('a failing disk', () => {
  test('after a failed write nothing is written any more; reads go on', async () => {
    const { log, files, logger } = await faulty();
    await append(log, 1);
    files.onWrite = () => 'EIO';
    expect(await codeOf(append(log, 2))).toBe('ENTRY_LOG_FENCED');
    files.onWrite = () => undefined;
    files.writes = 0;
    expect(await codeOf(append(log, 2))).toBe('ENTRY_LOG_FENCED');
    expect(await codeOf(log.seal())).toBe('ENTRY_LOG_FENCED');
    expect(files.writes).toBe(0);
    expect(logger.has('takes no writes')).toBe(true);
    expect(await readTexts(log, 1, 1, 1)).toEqual(['entry 1']);
    await log.close();
  });

  test.each(['EIO', 'ENOSPC', 'EROFS'])(
    'a sync with %s fences for ever and is counted; the write never shows',
    async (code) => {
      const { log, files, metrics } = await faulty();
      await append(log, 1);
      files.onSync = () => code;
      expect(await codeOf(append(log, 2))).toBe('ENTRY_LOG_FENCED');
      files.onSync = () => undefined;
      expect(await codeOf(append(log, 2))).toBe('ENTRY_LOG_FENCED');
      expect(log.lastIndex(1)).toBe(1);
      expect(metrics.counter('sluice_storage_fsync_errors_total', '').value).toBe(1);
      await log.close();
    },
  );

  test('the cut of half a frame is durable before the append is refused: the next segment says where this one ends', async () => {
    const files = new FaultyFiles();
    const { log } = await openTestLog(await temporaryDirectory(), { files });
    const done: string[] = [];
    files.onTruncate = () => void done.push('cut');
    files.onSync = () => void done.push('sync');
    files.onWrite = () => 50;
    expect(await codeOf(log.append([write(1, [entry(1, 1, 'a')])]))).toBe('ENTRY_LOG_FULL');
    expect(done).toEqual(['cut', 'sync']);
    files.onWrite = () => undefined;
    await log.close();
  });

  test('a full disk whose half frame cannot be cut off fences', async () => {
    const { log, files } = await faulty();
    files.onWrite = () => 10;
    files.onTruncate = () => 'EIO';
    expect(await codeOf(append(log, 1))).toBe('ENTRY_LOG_FENCED');
    await log.close();
  });

  test('a failed start of a new segment fences', async () => {
    const { log, files } = await faulty(400);
    await append(log, 1, 'a'.repeat(300));
    files.onSync = () => 'EIO';
    expect(await codeOf(append(log, 2, 'b'.repeat(300)))).toBe('ENTRY_LOG_FENCED');
    await log.close();
  });

  test('no room to name a new segment fences: which of the two counts is unknown', async () => {
    const { log, files, directory } = await faulty(400);
    await append(log, 1, 'a'.repeat(300));
    files.onRename = () => 'ENOSPC';
    expect(await codeOf(append(log, 2, 'b'.repeat(300)))).toBe('ENTRY_LOG_FENCED');
    await log.close();
    expect(await reread(directory)).toEqual(['a'.repeat(300)]);
  });

  test('an unreadable place is damage, told with file and offset, and counted', async () => {
    const { log, files, metrics, directory } = await faulty();
    await append(log, 1);
    files.onRead = () => 'EIO';
    await expect(log.read(1, 1, 1, 100)).rejects.toMatchObject({ code: 'ENTRY_LOG_DAMAGED' });
    const file = join(directory, '0000000000000001.log');
    expect(metrics.counter('sluice_storage_corruptions_total', '', { file }).value).toBe(1);
    await log.close();
  });

  test.each(['EACCES', 'EPERM', 'ENOMEM'])(
    'a sealed segment that %s keeps from being opened is not damaged',
    async (code) => {
      const { log, directory } = await faulty();
      await append(log, 1);
      await log.seal();
      await append(log, 2);
      await log.close();
      const files = new FaultyFiles();
      files.onOpen = (path) => (path.endsWith('0000000000000001.log') ? code : undefined);
      await expect(openTestLog(directory, { files })).rejects.toMatchObject({ code });
      files.onOpen = (path) => (path.endsWith('0000000000000001.log') ? 'EIO' : undefined);
      await expect(openTestLog(directory, { files })).rejects.toMatchObject({ code: 'ENTRY_LOG_DAMAGED' });
      expect(files.opened).toBe(0);
      expect(await reread(directory)).toEqual(['entry 1', 'entry 2']);
    },
  );

  test('a released segment that cannot be removed is removed at the next start', async () => {
    const { log, files, directory } = await faulty();
    await append(log, 1);
    log.compact(1, 1, 1);
    await append(log, 2);
    await log.seal();
    await append(log, 3);
    log.compact(1, 3, 1);
    files.onUnlink = () => 'EACCES';
    await log.release(1, []);
    files.onUnlink = () => undefined;
    await log.seal();
    await append(log, 4);
    const names = async () => (await readdir(directory)).filter((name) => name.startsWith('0000000000000001'));
    expect(await names()).toHaveLength(2);
    await log.close();
    const { log: reopened, logger } = await openTestLog(directory);
    expect(await names()).toEqual([]);
    expect(logger.lines).toEqual([]);
    expect(await readTexts(reopened, 1, 4, 4)).toEqual(['entry 4']);
    await reopened.close();
  });
});

describe('bounds', () => {
  test('a long log does not hold a descriptor a segment', async () => {
    const { log, files, directory } = await faulty(300);
    for (let index = 1; index <= 100; index++) await append(log, index, 'x'.repeat(200));
    expect(log.sealedSegments().length).toBe(99);
    expect(files.opened).toBeLessThanOrEqual(66);
    await log.close();
    expect(files.opened).toBe(0);
    const again = new FaultyFiles();
    const { log: reopened } = await openTestLog(directory, { files: again });
    await Promise.all([...Array(100).keys()].map((i) => reopened.read(1, i + 1, i + 1, 1)));
    expect(again.opened).toBeLessThanOrEqual(66);
    await reopened.close();
    expect(again.opened).toBe(0);
  });

  test('a reader finds every entry while segments change under it', async () => {
    const { log } = await faulty(300);
    await append(log, 1, 'x'.repeat(200));
    let done = false;
    const write = async () => {
      for (let index = 2; index <= 150; index++) await append(log, index, 'x'.repeat(200));
      done = true;
    };
    const read = async () => {
      while (!done) {
        const last = log.lastIndex(1);
        const [entry] = await log.read(1, last, last, 1);
        expect(entry?.index).toBe(last);
      }
    };
    await Promise.all([write(), read(), read()]);
    await log.close();
  });

  test('entries of many frames come in few reads', async () => {
    const { log, files } = await faulty();
    for (let index = 1; index <= 200; index++) await append(log, index);
    let reads = 0;
    files.onRead = () => {
      reads++;
      return undefined;
    };
    expect(await log.read(1, 1, 200, 1 << 20)).toHaveLength(200);
    expect(reads).toBe(1);
    await log.close();
  });

  test('those near an entry come with it in one read, and no read is made for the others', async () => {
    const { log, files } = await faulty();
    for (let index = 1; index <= 12; index++) {
      const between = entry(index, 1, 'y'.repeat(index === 6 ? 20_000 : 1000));
      await log.append([write(1, [entry(index, 1, 'x')]), write(2, [between])]);
    }
    const reads: number[] = [];
    files.onRead = (_position, sizeBytes) => {
      reads.push(sizeBytes);
      return undefined;
    };
    const near = async (first: number, last: number, bytesMax: number) =>
      (await log.readNear(1, first, last, bytesMax)).map(({ index }) => index);
    // Another group's bytes lie between, too many of them behind the sixth; they count.
    expect(await near(1, 12, 1 << 20)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(await near(7, 9, 1 << 20)).toEqual([7, 8, 9]);
    expect(await near(7, 12, 3000)).toEqual([7, 8, 9]);
    expect(await near(7, 12, 0)).toEqual([7]);
    expect(reads).toHaveLength(4);
    expect(reads[2]).toBeLessThanOrEqual(3000);
    await log.close();
  });

  test.each(['damaged', 'unreadable'])('one that is %s is counted once, when it is wanted itself', async (how) => {
    const { log, files, metrics, directory } = await faulty();
    const file = join(directory, '0000000000000001.log');
    for (let index = 1; index <= 6; index++) await append(log, index);
    const bad = (await readFile(file)).indexOf('entry 4');
    if (how === 'damaged') {
      const handle = await open(file, 'r+');
      await handle.write('E', bad);
      await handle.close();
    } else files.onRead = (position, sizeBytes) => (position <= bad && bad < position + sizeBytes ? 'EIO' : undefined);
    const found: number[] = [];
    for (let next = 1; next < 4; next = (found.at(-1) as number) + 1) {
      for (const { index } of await log.readNear(1, next, 6, 1 << 20)) found.push(index);
    }
    expect(found).toEqual([1, 2, 3]);
    const count = metrics.counter('sluice_storage_corruptions_total', '', { file });
    expect(count.value).toBe(0);
    expect(await codeOf(log.readNear(1, 4, 6, 1 << 20))).toBe('ENTRY_LOG_DAMAGED');
    expect(count.value).toBe(1);
    expect(await codeOf(log.read(1, 1, 6, 1 << 20))).toBe('ENTRY_LOG_DAMAGED');
    expect(count.value).toBe(2);
    expect((await log.readNear(1, 5, 6, 1 << 20)).map(({ index }) => index)).toEqual([5, 6]);
    await log.close();
  });
});
