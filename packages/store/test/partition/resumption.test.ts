import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { Resumption } from '../../src/partition/resumption.ts';

describe('what may be held by workers nobody has told of yet', () => {
  let over: number;
  let resumption: Resumption;
  beforeEach(() => {
    jest.useFakeTimers();
    over = 0;
    resumption = new Resumption(10, () => over++);
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  test('is what was there when the leadership began', () => {
    expect([9, 10, 11].map((index) => resumption.mayBeHeld(index))).toEqual([true, true, false]);
  });

  test('is waited for until the last of those that were asked has answered', () => {
    resumption.asked([1, 2]);
    resumption.answered(3);
    resumption.answered(2);
    resumption.answered(2);
    expect([over, resumption.mayBeHeld(10)]).toEqual([0, true]);
    resumption.answered(1);
    expect([over, resumption.mayBeHeld(10)]).toEqual([1, false]);
    jest.advanceTimersByTime(10 * Resumption.GRACE_MS);
    expect(over).toBe(1);
  });

  test('is nothing when there is nobody to ask', () => {
    resumption.asked([]);
    expect(over).toBe(1);
  });

  test('is not waited for longer than the grace, which begins with the question', () => {
    jest.advanceTimersByTime(Resumption.UNASKED_MS_MAX - 1);
    resumption.asked([1]);
    jest.advanceTimersByTime(Resumption.GRACE_MS - 1);
    expect(over).toBe(0);
    jest.advanceTimersByTime(1);
    expect(over).toBe(1);
  });

  test('is not waited for for ever either when the queues of the image do not come', () => {
    jest.advanceTimersByTime(Resumption.UNASKED_MS_MAX - 1);
    expect([over, resumption.mayBeHeld(10)]).toEqual([0, true]);
    jest.advanceTimersByTime(1);
    expect(over).toBe(1);
    resumption.asked([1]);
    expect(resumption.mayBeHeld(10)).toBe(false);
  });

  test('is nobody’s concern once the leadership has ended', () => {
    resumption.asked([1]);
    resumption.stop();
    resumption.answered(1);
    jest.advanceTimersByTime(10 * Resumption.GRACE_MS);
    expect(over).toBe(0);
  });
});
