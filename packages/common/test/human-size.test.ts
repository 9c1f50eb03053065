import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { formatSize, humanizeSize, parseSize } from '../src/human-size.ts';

describe('parseSize', () => {
  it.each([
    ['100MB', 104_857_600],
    ['100 MiB', 104_857_600],
    ['100m', 104_857_600],
    ['512kb', 524_288],
    ['1.5GB', 1_610_612_736],
    ['1024', 1024],
    ['7B', 7],
    ['0', 0],
  ])('reads %j', (text, bytes) => {
    expect(parseSize(text)).toEqual({ ok: true, bytes });
  });

  it.each(['', 'MB', '10XB', '1e9', '10 M B', 'infinity', '9999999PB', '-1MB'])('refuses %j', (text) => {
    expect(parseSize(text)).toMatchObject({ ok: false, message: expect.any(String) });
  });
});

it('formatSize writes what parseSize reads back', () => {
  fc.assert(
    fc.property(fc.nat({ max: Number.MAX_SAFE_INTEGER }), (bytes) => {
      expect(parseSize(formatSize(bytes))).toEqual({ ok: true, bytes });
    }),
  );
  expect([formatSize(104_857_600), formatSize(1_536), formatSize(0)]).toEqual(['100MB', '1536B', '0B']);
});

it.each([
  [0, '0 B'],
  [999, '999 B'],
  [1_023, '0.999 KB'],
  [1_536, '1.5 KB'],
  [1_489_000, '1.42 MB'],
  [1_073_741_824, '1 GB'],
])('humanizeSize(%d) is %j', (bytes, text) => {
  expect(humanizeSize(bytes)).toBe(text);
});
