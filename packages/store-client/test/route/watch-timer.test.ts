import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { WatchTimer } from '../../src/route/watch-timer.ts';

describe('a watch timer', () => {
  beforeEach(() => void jest.useFakeTimers());
  afterEach(() => void jest.useRealTimers());

  test('wakes nobody until there is something to look after', () => {
    const timer = new WatchTimer(50, () => true);
    expect(jest.getTimerCount()).toBe(0);
    timer.watch();
    expect(jest.getTimerCount()).toBe(1);
    timer.close();
  });

  test('looks until nothing is left, and again when there is', () => {
    let left = 2;
    let looks = 0;
    const timer = new WatchTimer(50, () => {
      looks++;
      return --left > 0;
    });
    timer.watch();
    timer.watch();
    jest.advanceTimersByTime(50);
    expect(looks).toBe(1);
    jest.advanceTimersByTime(1_000);
    expect(looks).toBe(2);
    expect(jest.getTimerCount()).toBe(0);
    left = 1;
    timer.watch();
    jest.advanceTimersByTime(1_000);
    expect(looks).toBe(3);
  });

  test('what a look finds anew is looked after', () => {
    let looks = 0;
    const timer: WatchTimer = new WatchTimer(50, () => {
      looks++;
      timer.watch();
      return looks < 3;
    });
    timer.watch();
    jest.advanceTimersByTime(1_000);
    expect(looks).toBe(3);
  });

  test('closed, it looks no more', () => {
    const timer = new WatchTimer(50, () => true);
    timer.watch();
    timer.close();
    timer.watch();
    expect(jest.getTimerCount()).toBe(0);
  });
});
