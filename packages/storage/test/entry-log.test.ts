import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { FaultyFiles } from './support/faulty-files.ts';
import { codeOf, entry, openTestLog, readTexts, write } from './support/open-test-log.ts';
import { removeTemporaryDirectories, temporaryDirectory } from './support/temporary-directory.ts';

afterAll(removeTemporaryDirectories);

describe('entry log', () => {
  test('gives back what was appended, before and after a reopen', async () => {
    const directory = await temporaryDirectory();
    const { log } = await openTestLog(directory);
    await log.append([
      write(1, [entry(1, 1, 'a'), entry(2, 1, 'b')], { term: 1, vote: 3, commit: 0 }),
      write(7, [entry(1, 4, 'x')], { term: 4, vote: 2, commit: 1 }),
    ]);
    await log.append([write(1, [entry(3, 2, ''), entry(4, 2, 'd'.repeat(5000))], undefined)]);
    await log.append([write(7, [], { term: 5, vote: 0, commit: 1 })]);
    const check = async (subject: typeof log) => {
      expect(await readTexts(subject, 1, 1, 4)).toEqual(['a', 'b', '', 'd'.repeat(5000)]);
      expect(await readTexts(subject, 7, 1, 1)).toEqual(['x']);
      expect([subject.firstIndex(1), subject.lastIndex(1), subject.lastIndex(7)]).toEqual([1, 4, 1]);
      expect([0, 1, 2, 3, 4, 5].map((index) => subject.term(1, index))).toEqual([0, 1, 1, 2, 2, undefined]);
      expect(subject.sizeBytes(1, 4)).toBe(5000);
      expect(subject.groups.get(1)?.hardState).toEqual({ term: 1, vote: 3, commit: 0 });
      expect(subject.groups.get(7)?.hardState).toEqual({ term: 5, vote: 0, commit: 1 });
    };
    await check(log);
    await log.close();
    const reopened = await openTestLog(directory);
    await check(reopened.log);
    expect(reopened.logger.lines).toEqual([]);
    await reopened.log.close();
  });

  test('an entry at or below the last index supersedes the tail', async () => {
    const directory = await temporaryDirectory();
    const { log } = await openTestLog(directory, { segmentBytes: 1024 });
    await log.append([write(1, [entry(1, 1, 'a'), entry(2, 1, 'b'), entry(3, 1, 'c')])]);
    await log.seal();
    await log.append([write(1, [entry(2, 2, 'B')])]);
    expect(log.lastIndex(1)).toBe(2);
    expect(await codeOf(log.read(1, 3, 3, 100))).toBe('ENTRY_MISSING');
    await log.close();
    const reopened = await openTestLog(directory);
    expect(await readTexts(reopened.log, 1, 1, 2)).toEqual(['a', 'B']);
    expect(await codeOf(reopened.log.read(1, 3, 3, 100))).toBe('ENTRY_MISSING');
    expect(reopened.log.sealedSegments()[0]?.groups.get(1)).toEqual({ first: 1, last: 1 });
    await reopened.log.close();
  });

  test('what was superseded within one segment is not counted to it after a reopen', async () => {
    const directory = await temporaryDirectory();
    const { log } = await openTestLog(directory);
    await log.append([write(1, [entry(1, 1, 'a'), entry(2, 1, 'b'), entry(3, 1, 'c'), entry(4, 1, 'd')])]);
    await log.append([write(1, [entry(2, 2, 'B')])]);
    expect(log.activeSegment().groups.get(1)).toEqual({ first: 1, last: 2 });
    await log.close();
    const { log: reopened } = await openTestLog(directory);
    expect(reopened.activeSegment().groups.get(1)).toEqual({ first: 1, last: 2 });
    expect(await codeOf(reopened.read(1, 3, 4, 100))).toBe('ENTRY_MISSING');
    await reopened.seal();
    expect(reopened.sealedSegments()[0]?.groups.get(1)).toEqual({ first: 1, last: 2 });
    await reopened.close();
  });

  test('compaction moves the start; entries below it stay readable until released', async () => {
    const directory = await temporaryDirectory();
    const { log } = await openTestLog(directory);
    await log.append([write(1, [entry(1, 1, 'a'), entry(2, 1, 'b'), entry(3, 2, 'c')])]);
    log.compact(1, 2, 1);
    expect([log.firstIndex(1), log.lastIndex(1), log.term(1, 2), log.term(1, 1)]).toEqual([3, 3, 1, undefined]);
    await log.append([]);
    await log.close();
    const { log: reopened } = await openTestLog(directory);
    expect([reopened.firstIndex(1), reopened.lastIndex(1), reopened.term(1, 2)]).toEqual([3, 3, 1]);
    expect(await readTexts(reopened, 1, 1, 3)).toEqual(['a', 'b', 'c']);
    await reopened.seal();
    const [segment] = reopened.sealedSegments();
    await reopened.release(segment?.segmentId ?? 0, [{ groupId: 1, index: 1 }]);
    // 3 belongs to the contiguous log: it survives unasked.
    expect(await readTexts(reopened, 1, 1, 1)).toEqual(['a']);
    expect(await codeOf(reopened.read(1, 2, 2, 100))).toBe('ENTRY_MISSING');
    expect(await readTexts(reopened, 1, 3, 3)).toEqual(['c']);
    await reopened.close();
    const { log: again } = await openTestLog(directory);
    expect(await readTexts(again, 1, 1, 1)).toEqual(['a']);
    expect(await codeOf(again.read(1, 2, 2, 100))).toBe('ENTRY_MISSING');
    expect(await readTexts(again, 1, 3, 3)).toEqual(['c']);
    expect((await readdir(directory)).filter((name) => name.endsWith('.log'))).toHaveLength(1);
    await again.close();
  });

  test('an image beyond the log voids it; live entries that come with the image are adopted', async () => {
    const directory = await temporaryDirectory();
    const { log } = await openTestLog(directory);
    await log.append([write(1, [entry(1, 1, 'a'), entry(2, 1, 'b')])]);
    log.compact(1, 10, 3);
    expect(await codeOf(log.read(1, 1, 1, 100))).toBe('ENTRY_MISSING');
    await log.adopt(1, [entry(2, 2, 'live two'), entry(9, 3, 'live nine')]);
    await log.append([write(1, [entry(11, 3, 'next')])]);
    await log.close();
    const { log: reopened } = await openTestLog(directory);
    expect([reopened.firstIndex(1), reopened.lastIndex(1), reopened.term(1, 10)]).toEqual([11, 11, 3]);
    expect(await readTexts(reopened, 1, 2, 2)).toEqual(['live two']);
    expect(await readTexts(reopened, 1, 9, 9)).toEqual(['live nine']);
    expect(await readTexts(reopened, 1, 11, 11)).toEqual(['next']);
    expect(await codeOf(reopened.read(1, 1, 1, 100))).toBe('ENTRY_MISSING');
    await reopened.close();
  });

  test('a voided log stays void although its segment was sealed before that was written, and its index is rebuilt', async () => {
    const directory = await temporaryDirectory();
    const { log } = await openTestLog(directory, { segmentBytes: 1000, sync: false });
    await log.append([write(1, [entry(1, 1, 'a'), entry(2, 1, 'b')])]);
    log.compact(1, 10, 3);
    await log.append([write(2, [entry(1, 1, 'x'.repeat(900))])]);
    await log.seal();
    await log.close();
    await rm(join(directory, '0000000000000001.idx'));
    const { log: reopened } = await openTestLog(directory, { sync: false });
    expect(reopened.firstIndex(1)).toBe(11);
    expect(await codeOf(reopened.read(1, 1, 1, 100))).toBe('ENTRY_MISSING');
    await reopened.close();
  });

  test('a compaction during a write is not taken for written', async () => {
    const directory = await temporaryDirectory();
    const files = new FaultyFiles();
    const { log } = await openTestLog(directory, { files, sync: false });
    await log.append([write(1, [entry(1, 1, 'a'), entry(2, 1, 'b'), entry(3, 1, 'c')])]);
    log.compact(1, 1, 1);
    files.onWrite = () => {
      log.compact(1, 2, 1);
      return undefined;
    };
    await log.append([]);
    files.onWrite = () => undefined;
    await log.append([]);
    await log.close();
    const { log: reopened } = await openTestLog(directory, { sync: false });
    expect(reopened.firstIndex(1)).toBe(3);
    await reopened.close();
  });

  test('a removed group is gone', async () => {
    const directory = await temporaryDirectory();
    const { log } = await openTestLog(directory);
    await log.append([write(1, [entry(1, 1, 'a')], { term: 1, vote: 1, commit: 1 }), write(2, [entry(1, 1, 'b')])]);
    await log.seal();
    await log.remove(1);
    expect(log.groups.has(1)).toBe(false);
    expect(await codeOf(log.read(1, 1, 1, 100))).toBe('ENTRY_MISSING');
    await log.close();
    const { log: reopened } = await openTestLog(directory);
    expect([...reopened.groups.keys()]).toEqual([2]);
    await reopened.close();
  });

  test('bugs of the caller are refused before anything is written', async () => {
    const { log } = await openTestLog(await temporaryDirectory());
    await log.append([write(1, [entry(1, 2, 'a'), entry(2, 2, 'b')])]);
    log.compact(1, 1, 2);
    const mark = log.mark();
    const refused = async (writes: Parameters<typeof log.append>[0], why: string) =>
      expect(log.append(writes)).rejects.toThrow(why);
    await refused([write(1, [entry(4, 2, 'gap')])], 'gap');
    await refused([write(1, [entry(3, 2, 'c'), entry(5, 2, 'gap')])], 'follow each other');
    await refused([write(1, [entry(1, 2, 'compacted')])], 'committed');
    await refused([write(1, [entry(3, 1, 'old term')])], 'terms never fall');
    await refused([write(5, [entry(1, 1, 'x')]), write(5, [entry(2, 1, 'y')])], 'all writes of a group into one');
    await refused([write(-1, [entry(1, 1, 'x')])], '32-bit');
    const both = [log.append([write(1, [entry(3, 2, 'c')])]), log.append([write(1, [entry(4, 2, 'd')])])];
    await expect(both[1]).rejects.toThrow('one append at a time');
    await both[0];
    expect(log.mark().position).toBeGreaterThan(mark.position);
    expect(await readTexts(log, 1, 2, 3)).toEqual(['b', 'c']);
    expect(log.groups.has(5)).toBe(false);
    await log.close();
    await expect(log.append([write(1, [entry(4, 2, 'd')])])).rejects.toMatchObject({ code: 'ENTRY_LOG_CLOSED' });
  });

  test('a log may be voided while other groups are written', async () => {
    const directory = await temporaryDirectory();
    const { log } = await openTestLog(directory, { sync: false });
    await log.append([write(1, [entry(1, 1, 'a')])]);
    const other = log.append([write(2, [entry(1, 1, 'b')])]);
    log.compact(1, 100, 3);
    await other;
    await log.append([write(1, [entry(101, 3, 'after')])]);
    await log.close();
    const { log: reopened } = await openTestLog(directory, { sync: false });
    expect(await codeOf(reopened.read(1, 1, 1, 1))).toBe('ENTRY_MISSING');
    expect(await readTexts(reopened, 1, 101, 101)).toEqual(['after']);
    expect(await readTexts(reopened, 2, 1, 1)).toEqual(['b']);
    await reopened.close();
  });

  test('a log that is voided while its entries are moved stays void', async () => {
    const directory = await temporaryDirectory();
    const files = new FaultyFiles();
    const { log } = await openTestLog(directory, { files, sync: false });
    await log.append([write(1, [entry(1, 1, 'a'), entry(2, 1, 'b'.repeat(1000))])]);
    await log.seal();
    files.onWrite = (sizeBytes) => {
      // While the copies are being written.
      if (sizeBytes > 1000) log.compact(1, 100, 3);
      return undefined;
    };
    await log.release(1, []);
    const check = async (subject: typeof log) => {
      expect(await codeOf(subject.read(1, 1, 1, 1))).toBe('ENTRY_MISSING');
      expect(await codeOf(subject.read(1, 2, 2, 1))).toBe('ENTRY_MISSING');
      expect([subject.firstIndex(1), subject.lastIndex(1)]).toEqual([101, 100]);
    };
    await check(log);
    await log.append([]);
    await log.close();
    const { log: reopened } = await openTestLog(directory, { sync: false });
    await check(reopened);
    await reopened.close();
  });

  test('read stops at the byte bound, after at least one entry', async () => {
    const { log } = await openTestLog(await temporaryDirectory());
    await log.append([write(1, [entry(1, 1, 'aaaa'), entry(2, 1, 'bbbb'), entry(3, 1, 'cccc')])]);
    expect(await log.read(1, 1, 3, 1)).toHaveLength(1);
    expect(await log.read(1, 1, 3, 8)).toHaveLength(2);
    expect(await log.read(1, 1, 3, 12)).toHaveLength(3);
    await log.close();
  });
});
