import { mkdtemp, readdir, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import { DiskGuard } from '../src/disk-guard.ts';

let directory: string;
let guard: DiskGuard | undefined;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sluice-disk-'));
});

afterEach(async () => {
  guard?.stop();
  await rm(directory, { recursive: true, force: true });
});

async function start(reserveBytes: number | undefined): Promise<DiskGuard> {
  guard = new DiskGuard({ directory, logger: silentLogger, metrics: new PlainMetrics(), reserveBytes });
  await guard.start();
  return guard;
}

async function freeBytes(): Promise<number> {
  const { bavail, bsize } = await statfs(directory);
  return bavail * bsize;
}

describe('the reserve', () => {
  test('is not touched: a publish that would is refused, and so is what follows, however small', async () => {
    const disk = await start((await freeBytes()) - 64 * 1024 * 1024);
    expect([disk.admits(1), disk.low]).toEqual([true, false]);
    expect([disk.admits(1024 * 1024 * 1024), disk.low]).toEqual([false, true]);
    // Refusals that come and go from one publish to the next would help nobody.
    expect(disk.admits(1)).toBe(false);
  });

  test('counts what was admitted since the last look', async () => {
    const disk = await start((await freeBytes()) - 64 * 1024 * 1024);
    let admitted = 0;
    while (disk.admits(4 * 1024 * 1024)) admitted++;
    expect(admitted).toBeGreaterThan(4);
    expect(admitted).toBeLessThanOrEqual(20);
  });

  test('larger than the disk refuses everything from the start', async () => {
    const disk = await start((await freeBytes()) * 2);
    expect([disk.low, disk.admits(0)]).toEqual([true, false]);
  });
});

test('a disk that cannot be asked is told of once, and when it can be again', async () => {
  jest.useFakeTimers();
  const lines: string[] = [];
  const logger = {
    ...silentLogger,
    warn: (_: object, line: string) => lines.push(line),
    info: (_: object, line: string) => lines.push(line),
  };
  let fails = true;
  const space = {
    measure: () => (fails ? Promise.reject(new Error('EIO')) : Promise.resolve({ freeBytes: 1e9, totalBytes: 2e9 })),
    hasBallast: async () => true,
    layBallast: async () => {},
    dropBallast: async () => {},
  };
  guard = new DiskGuard({ directory, logger, metrics: new PlainMetrics(), reserveBytes: 0, space });
  await guard.start();
  await jest.advanceTimersByTimeAsync(20 * DiskGuard.INTERVAL_MS);
  expect(lines).toEqual([expect.stringMatching(/^the disk cannot be looked at/)]);
  fails = false;
  await jest.advanceTimersByTimeAsync(20 * DiskGuard.INTERVAL_MS);
  expect(lines).toEqual([expect.anything(), 'the disk can be looked at again']);
  jest.useRealTimers();
});

describe('the ballast', () => {
  test('is laid while there is room, given up once, and found again by the next start', async () => {
    const disk = await start(0);
    expect(await readdir(directory)).toEqual(['ballast']);
    await disk.giveUpBallast();
    await disk.giveUpBallast();
    expect(await readdir(directory)).toEqual([]);
  });

  test('that cannot be removed is said once, and tried again', async () => {
    const lines: string[] = [];
    const logger = { ...silentLogger, warn: (_: object, line: string) => lines.push(line) };
    let isReadOnly = true;
    const space = {
      measure: () => Promise.resolve({ freeBytes: 0, totalBytes: 2e9 }),
      hasBallast: async () => true,
      layBallast: async () => {},
      dropBallast: async () => {
        if (isReadOnly) throw Object.assign(new Error('read-only file system'), { code: 'EROFS' });
      },
    };
    guard = new DiskGuard({ directory, logger, metrics: new PlainMetrics(), reserveBytes: 0, space });
    await guard.start();
    await guard.giveUpBallast();
    await guard.giveUpBallast();
    expect(lines).toEqual(['the disk is full to the end, and the ballast cannot be given up: it is tried again']);
    isReadOnly = false;
    await guard.giveUpBallast();
    await guard.giveUpBallast();
    expect(lines).toEqual([expect.anything(), 'the disk is full to the end: the ballast was given up']);
  });

  test('is not laid where it would take the last room', async () => {
    await start((await freeBytes()) - DiskGuard.BALLAST_BYTES);
    expect(await readdir(directory)).toEqual([]);
  });
});
