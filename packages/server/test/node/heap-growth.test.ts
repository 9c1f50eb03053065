import { setFlagsFromString } from 'node:v8';
import { afterAll, expect, test } from '@jest/globals';
import { HeapGrowth } from '../../src/node/heap-growth.ts';

const MB = 1024 * 1024;
afterAll(() => setFlagsFromString('--heap-growing-percent=0'));

test('a heap is given the same room whatever is alive, a large one doubles, and garbage is not taken for what is alive', () => {
  const set: number[] = [];
  let bytes = 20 * MB;
  const growth = new HeapGrowth(
    () => bytes,
    (percent) => set.push(percent),
  );
  const look = (at: number): void => {
    bytes = at;
    growth.look();
  };
  look(20 * MB);
  look(20 * MB);
  expect(set).toEqual([HeapGrowth.PERCENT_MAX]);
  // Its room fills; nobody has searched it.
  for (let at = 20; at <= 116; at += 8) look(at * MB);
  expect(set).toEqual([HeapGrowth.PERCENT_MAX]);
  look(48 * MB);
  expect(set).toEqual([HeapGrowth.PERCENT_MAX, 200]);
  look(144 * MB);
  // Some of it was given back without a search.
  look(140 * MB);
  look(49 * MB);
  expect(set).toEqual([HeapGrowth.PERCENT_MAX, 200]);
  look(600 * MB);
  look(300 * MB);
  expect(set).toEqual([HeapGrowth.PERCENT_MAX, 200, HeapGrowth.PERCENT_MIN]);
});

test('what is alive may grow for hours and never fall by a tenth', () => {
  const set: number[] = [];
  let bytes = 20 * MB;
  const growth = new HeapGrowth(
    () => bytes,
    (percent) => set.push(percent),
  );
  for (; bytes < 600 * MB; bytes *= 1.02) growth.look();
  expect(set[0]).toBe(HeapGrowth.PERCENT_MAX);
  expect(set.at(-1)).toBeLessThan(HeapGrowth.PERCENT_MIN + HeapGrowth.PERCENT_STEP);
});

test('this V8 knows the setting', () => {
  expect(() => new HeapGrowth().look()).not.toThrow();
});
