import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { TICK_MS } from '../../src/raft-timing.ts';
import { TickTimer } from '../../src/tick/tick-timer.ts';

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

test('while nobody needs them ticks come together, and as soon as somebody does one by one', () => {
  const ticked: number[] = [];
  let isNeeded = true;
  const timer = new TickTimer(3, (ticks) => {
    ticked.push(ticks);
    return isNeeded;
  });
  timer.start();
  jest.advanceTimersByTime(2 * TICK_MS);
  isNeeded = false;
  jest.advanceTimersByTime(7 * TICK_MS);
  expect(ticked).toEqual([1, 1, 1, 3, 3]);
  isNeeded = true;
  jest.advanceTimersByTime(5 * TICK_MS);
  expect(ticked).toEqual([1, 1, 1, 3, 3, 3, 1, 1]);
});

test('a timer that is stopped, by its own tick as well, ticks no more', () => {
  let ticked = 0;
  const timer = new TickTimer(1, () => {
    if (++ticked === 2) timer.stop();
    return true;
  });
  timer.start();
  jest.advanceTimersByTime(10 * TICK_MS);
  expect(ticked).toBe(2);
});
