import { expect, test } from '@jest/globals';
import { PassedOffsets } from '../../src/dispatch/passed-offsets.ts';

test('each is passed over once, and all are forgotten once the cursor is beyond the last, those that died as well', () => {
  const passed = new PassedOffsets();
  expect([passed.take(7), passed.has(7), passed.size]).toEqual([false, false, 0]);
  for (const offset of [9, 7, 8]) passed.add(offset);
  expect([passed.take(7), passed.take(7), passed.has(9), passed.size]).toEqual([true, false, true, 2]);
  passed.cursorAt(9);
  expect(passed.size).toBe(2);
  passed.cursorAt(10);
  expect([passed.size, passed.has(9)]).toEqual([0, false]);
  passed.add(12);
  passed.cursorAt(12);
  expect(passed.take(12)).toBe(true);
});
