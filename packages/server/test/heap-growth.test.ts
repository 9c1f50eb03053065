import { setFlagsFromString } from 'node:v8';
import { afterAll, expect, test } from '@jest/globals';
import { HeapGrowth } from '../src/heap-growth.ts';

const MB = 1024 * 1024;
afterAll(() => setFlagsFromString('--heap-growing-percent=0'));

test('a small heap is given room, a large one is left to V8, and one at the border is not set to and fro', () => {
  const set: number[] = [];
  let usedBytes = 30 * MB;
  const growth = new HeapGrowth(
    () => usedBytes,
    (percent) => set.push(percent),
  );
  growth.look();
  growth.look();
  expect(set).toEqual([HeapGrowth.PERCENT]);
  usedBytes = HeapGrowth.SMALL_BYTES * 1.2;
  growth.look();
  expect(set).toEqual([HeapGrowth.PERCENT]);
  usedBytes = HeapGrowth.SMALL_BYTES * 1.6;
  growth.look();
  expect(set).toEqual([HeapGrowth.PERCENT, 0]);
  usedBytes = HeapGrowth.SMALL_BYTES * 1.2;
  growth.look();
  expect(set).toEqual([HeapGrowth.PERCENT, 0]);
});

test('this V8 knows the setting', () => {
  expect(() => new HeapGrowth().look()).not.toThrow();
});
