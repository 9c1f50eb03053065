import { describe, expect, test } from '@jest/globals';
import { WorkPace } from '../src/work-pace.ts';

/** Workers that take so long for each message, looked at every 15 s as KEDA does. */
function paceOf(options: { seconds: number; busy: (at: number) => number; secondsEach: number }): WorkPace {
  const pace = new WorkPace();
  let accepted = 1_000;
  for (let at = 0; at <= options.seconds; at += 15) {
    pace.look(at * 1_000, Math.floor(accepted), options.busy(at));
    accepted += (15 / options.secondsEach) * options.busy(at);
  }
  return pace;
}

describe('the pace of a worker', () => {
  test('is what one that has work finishes in a second, however many there are', () => {
    for (const workers of [1, 7, 40]) {
      const pace = paceOf({ seconds: 300, busy: () => workers, secondsEach: 10 });
      expect(pace.perWorker).toBeCloseTo(0.1, 2);
    }
  });

  test('does not fall while there is nothing to do', () => {
    const pace = paceOf({ seconds: 600, busy: (at) => (at < 300 ? 10 : 0), secondsEach: 10 });
    expect(pace.perWorker).toBeCloseTo(0.1, 2);
  });

  test('follows jobs that become longer', () => {
    const pace = paceOf({ seconds: 300, busy: () => 10, secondsEach: 5 });
    const before = pace.perWorker as number;
    let accepted = 100_000;
    pace.look(315_000, accepted, 10);
    const jumped = pace.perWorker as number;
    for (let at = 330; at < 4_000; at += 15) {
      accepted += 15 / 5;
      pace.look(at * 1_000, accepted, 10);
    }
    expect(jumped).toBeGreaterThan(before);
    expect(pace.perWorker).toBeLessThan(before / 2);
  });

  test('is not known before anything was finished, after a long pause, and of a queue made anew', () => {
    const pace = new WorkPace();
    expect(pace.perWorker).toBeUndefined();
    pace.look(0, 5, 2);
    pace.look(15_000, 5, 2);
    expect(pace.perWorker).toBeUndefined();
    pace.look(30_000, 8, 2);
    expect(pace.perWorker).toBeCloseTo(3 / 60, 2);
    pace.look(30_000 + WorkPace.GAP_MS_MAX + 1, 9, 2);
    expect(pace.perWorker).toBeUndefined();
    pace.look(200_000, 12, 2);
    expect(pace.perWorker).toBeDefined();
    pace.look(215_000, 1, 2);
    expect(pace.perWorker).toBeUndefined();
  });
});
