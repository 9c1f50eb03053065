import { jest } from '@jest/globals';

/**
 * How long something took says more about the machine than about the code. Here time stands still instead, while sockets go
 * on: what comes about was brought about by what was said, and by no timer. What is a timer's work is done when the test
 * lets so much time pass.
 */
export const standingClock = {
  begin: (): void => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] });
  },
  /** What is due within it happens now; what arrives meanwhile is read afterwards. */
  pass: (ms: number): void => {
    jest.advanceTimersByTime(ms);
  },
  end: (): void => {
    jest.useRealTimers();
  },
};
