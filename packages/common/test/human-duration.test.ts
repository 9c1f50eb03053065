import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { formatDuration, humanizeDuration, parseDuration } from '../src/human-duration.ts';

describe('parseDuration', () => {
  it.each([
    ['7d', 604_800_000],
    ['10s', 10_000],
    ['100ms', 100],
    ['1h30m', 5_400_000],
    ['1h 30m', 5_400_000],
    ['1.5h', 5_400_000],
    ['2w', 1_209_600_000],
    [' 5 S ', 5_000],
    ['0', 0],
    ['0s', 0],
  ])('reads %j', (text, ms) => {
    expect(parseDuration(text)).toEqual({ ok: true, ms });
  });

  it.each(['', 's', '10 parsecs', '10s!', '1h-2m', 'infinity', '1e3s', '5m5'])(
    'refuses %j and shows the form',
    (text) => {
      expect(parseDuration(text)).toMatchObject({ ok: false, message: expect.stringContaining('"10s"') });
    },
  );

  it('refuses a number without a unit and says how to write it', () => {
    expect(parseDuration('30')).toEqual({ ok: false, message: 'has no unit: write "30ms" or "30s"' });
  });

  it('refuses what is negative or beyond counting', () => {
    expect(parseDuration('-5s')).toMatchObject({ ok: false, message: 'must not be negative' });
    expect(parseDuration('999999999999999w')).toMatchObject({ ok: false });
  });
});

it('formatDuration writes what parseDuration reads back', () => {
  fc.assert(
    fc.property(fc.nat({ max: Number.MAX_SAFE_INTEGER }), (ms) => {
      expect(parseDuration(formatDuration(ms))).toEqual({ ok: true, ms });
    }),
  );
  expect([formatDuration(604_800_000), formatDuration(5_400_000), formatDuration(1_500)]).toEqual([
    '7d',
    '90m',
    '1500ms',
  ]);
});

it.each([
  [0, '0ms'],
  [850, '850ms'],
  [1_500, '1.5s'],
  [65_000, '1m 5s'],
  [3_600_000, '1h'],
  [273_600_000, '3d 4h'],
])('humanizeDuration(%d) is %j', (ms, text) => {
  expect(humanizeDuration(ms)).toBe(text);
});
