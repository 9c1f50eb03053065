import { cp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { FrameBuilder } from '@sluice/storage/entry-log/frame/frame-builder';
import { RecordType } from '@sluice/storage/entry-log/frame/frame-format';
import type { LogMark } from '@sluice/storage/entry-log-contract';
import { codeOf, entry, openTestLog, readTexts, write } from './support/open-test-log.ts';
import { removeTemporaryDirectories, temporaryDirectory } from './support/temporary-directory.ts';

afterAll(removeTemporaryDirectories);

const first = [
  write(1, [entry(1, 1, 'one'), entry(2, 1, 'two')], { term: 1, vote: 1, commit: 0 }),
  write(2, [entry(1, 1, 'x')]),
];
// Supersedes, so that half of it would be a third state.
const second = [
  write(1, [entry(2, 2, 'TWO'), entry(3, 2, 'THREE')], { term: 2, vote: 2, commit: 1 }),
  write(2, [entry(2, 2, 'y')]),
];
const BEFORE = 'one two | x | 1/1';
const AFTER = 'one TWO THREE | x y | 2/2';

/** Everything that the two frames decide, in a line. */
async function stateOf(directory: string, durableMark?: LogMark) {
  const { log, logger } = await openTestLog(directory, { sync: false, durableMark });
  try {
    const texts = async (groupId: number) => (await readTexts(log, groupId, 1, log.lastIndex(groupId))).join(' ');
    const { term, vote } = log.groups.get(1)?.hardState ?? {};
    return { state: `${await texts(1)} | ${await texts(2)} | ${term}/${vote}`, cut: logger.has('cut a torn write') };
  } finally {
    await log.close();
  }
}

describe('the end of the entry log', () => {
  let directory: string;
  let path: string;
  let whole: Buffer;
  let start: number;
  let mark: LogMark;

  beforeAll(async () => {
    directory = await temporaryDirectory();
    const { log } = await openTestLog(directory, { sync: false });
    await log.append(first);
    start = log.mark().position;
    await log.append(second);
    mark = log.mark();
    await log.close();
    path = join(directory, '0000000000000001.log');
    whole = await readFile(path);
    expect(whole.length).toBe(mark.position);
  });

  test('a write torn after any byte leaves the state before it, a whole one the state after it', async () => {
    for (let size = start; size <= whole.length; size++) {
      await writeFile(path, whole.subarray(0, size));
      const { state, cut } = await stateOf(directory);
      expect([size, state]).toEqual([size, size === whole.length ? AFTER : BEFORE]);
      expect(cut).toBe(size !== start && size !== whole.length);
      expect((await stat(path)).size).toBe(size === whole.length ? size : start);
    }
  });

  test('so does one whose end, or whose start, never reached the disk', async () => {
    for (let size = start; size < whole.length; size++) {
      for (const [from, to] of [
        [start, size + 1],
        [size, whole.length],
      ]) {
        await writeFile(path, Buffer.from(whole).fill(0, from, to));
        expect([size, (await stateOf(directory)).state]).toEqual([size, BEFORE]);
      }
    }
  });

  test('a damaged last frame that was acknowledged is an error, and is not cut', async () => {
    for (let at = start; at < whole.length; at++) {
      const bytes = Buffer.from(whole);
      bytes[at] = (bytes[at] ?? 0) ^ 0x40;
      await writeFile(path, bytes);
      expect([at, await codeOf(stateOf(directory, mark))]).toEqual([at, 'ENTRY_LOG_DAMAGED']);
      expect((await readFile(path)).equals(bytes)).toBe(true);
      await writeFile(path, whole.subarray(0, at));
      expect([at, await codeOf(stateOf(directory, mark))]).toEqual([at, 'ENTRY_LOG_DAMAGED']);
      expect((await stat(path)).size).toBe(at);
    }
  });

  test('an acknowledged segment that is missing is an error', async () => {
    await writeFile(path, whole);
    expect(await codeOf(stateOf(directory, { segmentId: 2, position: 100 }))).toBe('ENTRY_LOG_DAMAGED');
    expect(await codeOf(stateOf(await temporaryDirectory(), mark))).toBe('ENTRY_LOG_DAMAGED');
  });

  test('the error names file and offset, what was expected and what to do', async () => {
    const bytes = Buffer.from(whole);
    bytes[100] = (bytes[100] ?? 0) ^ 1;
    await writeFile(path, bytes);
    await expect(stateOf(directory)).rejects.toThrow(/0000000000000001\.log is damaged at byte \d+: expected /);
    await expect(stateOf(directory)).rejects.toMatchObject({ hint: expect.stringContaining('Nothing was changed') });
  });
});

describe('frames inside of payloads', () => {
  test('neither a copied nor a forged frame makes a torn end look like damage, or is taken for a frame', async () => {
    const directory = await temporaryDirectory();
    const other = await temporaryDirectory();
    const { log: foreign } = await openTestLog(other, { sync: false });
    for (let index = 1; index < 20; index++) await foreign.append([write(1, [entry(index, 1, 'foreign')])]);
    await foreign.close();
    const foreignFrames = await readFile(join(other, '0000000000000001.log'));

    const { log } = await openTestLog(directory, { sync: false });
    await log.append(first);
    const path = join(directory, '0000000000000001.log');
    const ownFrame = (await readFile(path)).subarray(64);
    const builder = new FrameBuilder();
    builder.start();
    builder.note(RecordType.REMOVED, 0, 1, 0, 0, 0);
    const forged = Buffer.concat(builder.finish(1000, 0));
    const start = log.mark().position;
    const data = Buffer.concat([ownFrame, forged, foreignFrames, Buffer.from('end')]);
    await log.append([write(1, [{ index: 3, term: 1, kind: 0, data }])]);
    await log.close();
    const whole = await readFile(path);
    const { log: reopened } = await openTestLog(directory, { sync: false });
    expect(Buffer.from((await reopened.read(1, 3, 3, 1e6))[0]?.data ?? []).equals(data)).toBe(true);
    await reopened.close();
    // The header of the last frame never reached the disk, its payload did.
    await writeFile(path, Buffer.from(whole).fill(0, start, start + 60));
    expect(await stateOf(directory)).toEqual({ state: BEFORE, cut: true });
    expect((await stat(path)).size).toBe(start);
  });
});

describe('damage in the middle', () => {
  let origin: string;
  let mark: LogMark;
  let lastFrameAt: number;

  const fill = async () => {
    origin = await temporaryDirectory();
    const { log } = await openTestLog(origin, { sync: false });
    for (let segment = 0; segment < 3; segment++) {
      for (let i = 1; i <= 4; i++) {
        const index = segment * 4 + i;
        lastFrameAt = log.mark().position;
        await log.append([
          write(1, [entry(index, 1, `payload ${index}`)], { term: 1, vote: 1, commit: index - 1 }),
          write(2, [entry(index, 1, `${index}`.repeat(30))]),
        ]);
      }
      if (segment < 2) await log.seal();
    }
    mark = log.mark();
    await log.close();
  };
  beforeAll(fill);

  /** Flips a bit, opens, reads and verifies everything. Wrong data is a failure, errors are the outcome. */
  async function outcomeOfFlip(file: string, at: number, durableMark: LogMark | undefined): Promise<string> {
    const directory = origin;
    const path = join(directory, file);
    const intact = await readFile(path);
    const bytes = Buffer.from(intact);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8));
    await writeFile(path, bytes);
    try {
      const { log, logger, metrics } = await openTestLog(directory, { sync: false, durableMark });
      try {
        for (const groupId of [1, 2]) {
          for (let index = 1; index <= 12; index++) {
            const [text] = await readTexts(log, groupId, index, index).catch((error) => {
              // A damaged payload of a sealed segment is found when it is read.
              expect(error.code).toBe('ENTRY_LOG_DAMAGED');
              expect(metrics.counter('sluice_storage_corruptions_total', '', { file: path }).value).toBeGreaterThan(0);
              return ['damaged'];
            });
            const expected = groupId === 1 ? `payload ${index}` : `${index}`.repeat(30);
            if (text !== 'damaged') expect(text).toBe(expected);
          }
        }
        await log.verify();
        return logger.has('rebuilding') ? 'rebuilt' : 'silent';
      } finally {
        await log.close();
      }
    } catch (error) {
      if (file.endsWith('.log')) expect((await readFile(path)).equals(bytes)).toBe(true);
      const { code, message } = error as { code?: string; message: string };
      if (code === 'ENTRY_LOG_DAMAGED') expect(message).toContain(file);
      return code ?? message;
    } finally {
      await writeFile(path, intact);
    }
  }

  test('any flipped bit of a sealed segment is found', async () => {
    const { size } = await stat(join(origin, '0000000000000001.log'));
    for (let at = 0; at < size; at += 11) {
      expect([at, await outcomeOfFlip('0000000000000001.log', at, mark)]).toEqual([at, 'ENTRY_LOG_DAMAGED']);
    }
  });

  test('any flipped bit of the newest segment before its last frame stops the open', async () => {
    for (let at = 0; at < lastFrameAt; at += 7) {
      expect([at, await outcomeOfFlip('0000000000000003.log', at, undefined)]).toEqual([at, 'ENTRY_LOG_DAMAGED']);
    }
  });

  test('a flipped bit of a segment index costs a rebuild and nothing else', async () => {
    const { size } = await stat(join(origin, '0000000000000002.idx'));
    for (let at = 0; at < size; at += 5) {
      const outcome = await outcomeOfFlip('0000000000000002.idx', at, mark);
      // Bytes 20 to 23 of the header mean nothing.
      expect([at, outcome]).toEqual([at, at >= 20 && at < 24 ? 'silent' : 'rebuilt']);
    }
  });

  test('a segment index that vanishes in service is made again, once for all readers', async () => {
    const directory = await temporaryDirectory();
    await cp(origin, directory, { recursive: true });
    const { log, logger } = await openTestLog(directory, { sync: false });
    log.compact(1, 12, 1);
    log.compact(2, 12, 1);
    await log.append([]);
    await log.close();
    const { log: reopened, logger: again } = await openTestLog(directory, { sync: false });
    await rm(join(directory, '0000000000000001.idx'));
    const texts = await Promise.all([1, 2, 3, 4].map((index) => readTexts(reopened, 1, index, index)));
    expect(texts.flat()).toEqual([1, 2, 3, 4].map((index) => `payload ${index}`));
    expect(logger.has('rebuilding')).toBe(false);
    expect(again.lines.filter(({ message }) => message.includes('rebuilding'))).toHaveLength(1);
    expect(await readdir(directory)).toContain('0000000000000001.idx');
    await reopened.close();
  });

  const changed = async (change: (directory: string) => Promise<void>) => {
    const directory = await temporaryDirectory();
    await cp(origin, directory, { recursive: true });
    await change(directory);
    const { log } = await openTestLog(directory, { sync: false });
    await log.close();
  };

  test('a missing segment is named', async () => {
    const open = changed((directory) => rm(join(directory, '0000000000000001.log')));
    await expect(open).rejects.toThrow(/0000000000000001\.log.*missing/);
  });

  test('a segment shorter or longer than it was is named', async () => {
    const resize = (by: number) =>
      changed(async (directory) => {
        const path = join(directory, '0000000000000002.log');
        const bytes = await readFile(path);
        await writeFile(path, by < 0 ? bytes.subarray(0, by) : Buffer.concat([bytes, Buffer.alloc(by)]));
      });
    await expect(resize(-1)).rejects.toThrow(/0000000000000002\.log.*bytes in the file/);
    await expect(resize(1)).rejects.toThrow(/0000000000000002\.log.*bytes in the file/);
  });

  test('two segments exchanged, and a file of another kind, are named', async () => {
    const exchanged = changed(async (directory) => {
      await cp(join(directory, '0000000000000001.log'), join(directory, '0000000000000002.log'));
    });
    await expect(exchanged).rejects.toMatchObject({ code: 'ENTRY_LOG_DAMAGED' });
    const other = changed((directory) => writeFile(join(directory, '0000000000000003.log'), 'a'.repeat(1000)));
    await expect(other).rejects.toThrow(/magic of an entry log segment/);
    const empty = changed((directory) => writeFile(join(directory, '0000000000000003.log'), ''));
    await expect(empty).rejects.toThrow(/segment header/);
  });

  test('half-made files of a crash are removed, strangers are left alone', async () => {
    const directory = await temporaryDirectory();
    await cp(origin, directory, { recursive: true });
    await writeFile(join(directory, '0000000000000004.log.tmp'), 'half');
    await writeFile(join(directory, '0000000000000002.idx.tmp'), 'half');
    await writeFile(join(directory, 'notes.txt'), 'mine');
    const { log } = await openTestLog(directory, { sync: false });
    await log.close();
    const names = await readdir(directory);
    expect(names.filter((name) => name.endsWith('.tmp'))).toEqual([]);
    expect(names).toContain('notes.txt');
  });
});
