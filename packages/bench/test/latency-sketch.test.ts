import { expect, test } from '@jest/globals';
import { LatencySketch } from '@sluice/bench/load/latency-sketch';
import fc from 'fast-check';

const SHARES = [0, 0.1, 0.5, 0.9, 0.99, 0.999, 1];

function naive(values: number[], share: number): number {
  const sorted = values.map(Math.round).sort((a, b) => a - b);
  return sorted[Math.max(1, Math.ceil(sorted.length * share)) - 1] as number;
}

function sketchOf(values: number[]): LatencySketch {
  const sketch = new LatencySketch();
  for (const value of values) sketch.add(value);
  return sketch;
}

const latencies = fc.array(fc.oneof(fc.nat(100), fc.nat(1e6), fc.double({ min: 0, max: 2e9, noNaN: true })), {
  minLength: 1,
  maxLength: 300,
});

test('a percentile is that of the sorted list, within a bucket', () => {
  fc.assert(
    fc.property(latencies, fc.constantFrom(...SHARES), (values, share) => {
      const exact = naive(values, share);
      const found = sketchOf(values).percentileUs(share) as number;
      expect(Math.abs(found - exact)).toBeLessThanOrEqual(Math.max(0.5, exact / 64));
    }),
  );
});

test('two sketches together are the sketch of both, also after a journey', () => {
  fc.assert(
    fc.property(latencies, latencies, (some, others) => {
      const merged = sketchOf(some);
      merged.merge(new LatencySketch(structuredClone(sketchOf(others).counts)));
      const both = sketchOf([...some, ...others]);
      expect(merged.count).toBe(both.count);
      for (const share of SHARES) expect(merged.percentileUs(share)).toBe(both.percentileUs(share));
    }),
  );
});

test('none has no percentile; what is absurd counts as the end of the scale', () => {
  expect(new LatencySketch().percentileUs(0.5)).toBeUndefined();
  expect(sketchOf([-5]).percentileUs(0.5)).toBe(0);
  expect(sketchOf([1e12]).percentileUs(0.5)).toBeGreaterThan(2 ** 31 * 0.98);
});
