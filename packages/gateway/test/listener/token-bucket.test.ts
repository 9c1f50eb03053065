import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ConnectionsPerAddress } from '../../src/listener/connections-per-address.ts';
import { TokenBucket } from '../../src/listener/token-bucket.ts';

test('a burst of one second, then the rate', () => {
  const bucket = new TokenBucket(10, 0);
  expect(Array.from({ length: 12 }, () => bucket.take(1, 0)).filter(Boolean)).toHaveLength(10);
  expect(bucket.take(1, 99)).toBe(false);
  expect(bucket.take(1, 100)).toBe(true);
  expect(bucket.take(1, 50)).toBe(false);
  expect(Array.from({ length: 20 }, () => bucket.take(1, 60_000)).filter(Boolean)).toHaveLength(10);
});

test('what is larger than all there is passes once, and is paid for', () => {
  const bucket = new TokenBucket(100, 0);
  expect(bucket.take(1_000, 0)).toBe(true);
  expect(bucket.take(1, 9_009)).toBe(false);
  expect(bucket.take(1, 9_011)).toBe(true);
});

test('over any time no more flows than rate and burst allow, but for one', () => {
  const steps = fc.array(fc.tuple(fc.integer({ min: 0, max: 500 }), fc.integer({ min: 1, max: 30 })), {
    maxLength: 200,
  });
  fc.assert(
    fc.property(steps, (all) => {
      const bucket = new TokenBucket(20, 0);
      let nowMs = 0;
      let taken = 0;
      let largest = 0;
      for (const [waitMs, amount] of all) {
        nowMs += waitMs;
        largest = Math.max(largest, amount);
        if (bucket.take(amount, nowMs)) taken += amount;
        if (taken > 20 + (nowMs * 20) / 1000 + largest) return false;
      }
      return true;
    }),
    { numRuns: 300, seed: 3 },
  );
});

test('an address has its places, and gets them back', () => {
  const places = new ConnectionsPerAddress(2);
  expect([places.enter('a'), places.enter('a'), places.enter('a'), places.enter('__proto__')]).toEqual([
    true,
    true,
    false,
    true,
  ]);
  places.leave('a');
  expect([places.enter('a'), places.enter('a')]).toEqual([true, false]);
  const any = new ConnectionsPerAddress(0);
  expect(Array.from({ length: 100 }, () => any.enter('a')).every(Boolean)).toBe(true);
});
