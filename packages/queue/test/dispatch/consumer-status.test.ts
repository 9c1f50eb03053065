import { describe, expect, test } from '@jest/globals';
import { consumerStatus, drainSeconds, type Standing } from '../../src/dispatch/consumer-status.ts';

const standing = (more: Partial<Standing> = {}): Standing => ({
  depth: 100,
  consumers: 3,
  ageSeconds: 5,
  quietSeconds: 1,
  jobSeconds: 1,
  drainSeconds: 10,
  objectiveSeconds: 300,
  ...more,
});

describe('how consumers stand to a backlog', () => {
  test('well, as long as it is young or shrinks', () => {
    expect(consumerStatus(standing())).toBe('ok');
    expect(consumerStatus(standing({ ageSeconds: 10_000 }))).toBe('ok');
    expect(consumerStatus(standing({ drainSeconds: Number.POSITIVE_INFINITY }))).toBe('ok');
    expect(consumerStatus(standing({ drainSeconds: Number.NaN, ageSeconds: 10_000 }))).toBe('ok');
  });

  test('behind: it is old and does not shrink', () => {
    const grows = { drainSeconds: Number.POSITIVE_INFINITY };
    expect(consumerStatus(standing({ ...grows, ageSeconds: 29 }))).toBe('ok');
    expect(consumerStatus(standing({ ...grows, ageSeconds: 30 }))).toBe('falling_behind');
  });

  test('stalled: nothing was acknowledged for longer than five jobs take, and a minute', () => {
    const silent = { ageSeconds: 10_000, quietSeconds: 59 };
    expect(consumerStatus(standing(silent))).toBe('ok');
    expect(consumerStatus(standing({ ...silent, quietSeconds: 60 }))).toBe('stalled');
    expect(consumerStatus(standing({ ...silent, quietSeconds: 60, jobSeconds: 60 }))).toBe('ok');
    expect(consumerStatus(standing({ ...silent, quietSeconds: 300, jobSeconds: 60 }))).toBe('stalled');
    // What has just come may be in work for the first time.
    expect(consumerStatus(standing({ quietSeconds: 10_000 }))).toBe('ok');
  });

  test('nobody is there, or nothing', () => {
    expect(consumerStatus(standing({ consumers: 0 }))).toBe('no_consumers');
    expect(consumerStatus(standing({ consumers: 0, depth: 0 }))).toBe('ok');
  });
});

describe('how long a backlog lasts', () => {
  test.each([
    [0, 5, 1, 0],
    [100, 1, 11, 10],
    [100, 5, 5, Number.POSITIVE_INFINITY],
    [100, 9, 5, Number.POSITIVE_INFINITY],
    [100, undefined, 5, Number.NaN],
    [100, 5, undefined, Number.NaN],
  ])('%p, with %p in and %p out a second: %p s', (depth, published, gone, expected) => {
    expect(drainSeconds(depth, published, gone)).toBe(expected);
  });
});
