import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { DataDisk, deviceOf, writtenBytesOf } from '@sluice/bench/run/data-disk';

test('a device is named by major and minor number', () => {
  expect([0xfe00, 0x0801, 0x1b, 0x10_3d_12, 0x0000_0103_0000_0005 % 2 ** 32].map(deviceOf)).toEqual([
    '254:0',
    '8:1',
    '0:27',
    '61:274',
    '0:5',
  ]);
});

describe("a device's counter", () => {
  test('is the seventh number, in sectors of 512 bytes', () => {
    const stat =
      '  159820    35737  6119322    47086   591314   197064 137540704   364442        0   228804   583877\n';
    expect(writtenBytesOf(stat)).toBe(137_540_704 * 512);
  });

  test('is none in any other text', () => {
    expect(['', '1 2 3 4 5 6', '1 2 3 4 5 6 many 8', 'a b c d e f g'].map(writtenBytesOf)).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });
});

describe('the disk below a directory', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'data-disk-'));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  /** As the kernel would have it, of the device that the directory really is on. */
  const counted = (sectors: number): void => {
    const device = join(directory, 'devices', deviceOf(statSync(directory).dev));
    mkdirSync(device, { recursive: true });
    writeFileSync(join(device, 'stat'), `1 2 3 4 5 6 ${sectors} 8 9 10 11\n`);
  };
  const disk = () => DataDisk.of(directory, join(directory, 'devices'));

  test('is none without a counter, so that something else counts', async () => {
    expect(await disk()).toBeUndefined();
  });

  test('has what was written between two marks', async () => {
    counted(1_000);
    const found = (await disk()) as DataDisk;
    const before = await found.mark();
    counted(1_512);
    expect(found.between(before, await found.mark())).toBe(512 * 512);
  });

  test('what it is given at rest is taken off, and no more than all', async () => {
    counted(1_000);
    const found = (await disk()) as DataDisk;
    await found.rest(async () => counted(3_000));
    const before = { writtenBytes: 0, atMs: 0 };
    const { idleBytesPerS } = found;
    expect(idleBytesPerS).toBeGreaterThan(0);
    expect(found.between(before, { writtenBytes: idleBytesPerS * 2 + 700, atMs: 2_000 })).toBeCloseTo(700);
    expect(found.between(before, { writtenBytes: 0, atMs: 2_000 })).toBe(0);
  });
});
