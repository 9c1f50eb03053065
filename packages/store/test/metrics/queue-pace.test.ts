import { expect, test } from '@jest/globals';
import { QueuePace } from '../../src/metrics/queue-pace.ts';

const LOOK_MS = 5_000;

/** Looks every five seconds at a queue that gets and loses so many records a second. */
function after(seconds: number, publishedPerS: number, gonePerS: number, pace = new QueuePace(), fromMs = 1_000) {
  for (let ms = 0; ms <= seconds * 1_000; ms += LOOK_MS) {
    pace.look(fromMs + ms, (publishedPerS * ms) / 1_000, (gonePerS * ms) / 1_000, (gonePerS * ms) / 1_000);
  }
  return pace;
}

test('nothing is known before the second look, then the pace is, without a slow beginning', () => {
  expect(after(0, 10, 4)).toMatchObject({ published: undefined, gone: undefined });
  const pace = after(5, 10, 4);
  expect(pace.published).toBeCloseTo(10);
  expect(pace.gone).toBeCloseTo(4);
});

test('what was fades: half a minute is felt, five minutes are forgotten', () => {
  const pace = after(600, 100, 100);
  for (let ms = LOOK_MS; ms <= 300_000; ms += LOOK_MS) {
    pace.look(601_000 + ms, 60_000, 60_000, 60_000);
    if (ms === 30_000) expect(pace.published).toBeGreaterThan(50);
  }
  expect(pace.published).toBeLessThan(1);
});

test('after a gap it begins anew: somebody else led meanwhile', () => {
  const pace = after(60, 10, 10);
  pace.look(61_000 + QueuePace.GAP_MS_MAX + 1, 1_000_000, 0, 0);
  expect([pace.published, pace.acceptedMs]).toEqual([undefined, 0]);
});

test('acknowledgements are seen when they grow, and by nothing else', () => {
  const pace = new QueuePace();
  pace.look(1_000, 10, 0, 5);
  expect([pace.acceptedMs, pace.sinceMs]).toEqual([0, 1_000]);
  pace.look(6_000, 20, 7, 5);
  expect(pace.acceptedMs).toBe(0);
  pace.look(11_000, 20, 8, 6);
  expect(pace.acceptedMs).toBe(11_000);
});
