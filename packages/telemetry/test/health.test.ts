import { expect, test } from '@jest/globals';
import type { Clock } from '@sluice/common/clock';
import { Health } from '@sluice/telemetry/health';

class HandClock implements Clock {
  ms = 1_000;
  nowMs(): number {
    return this.ms;
  }
  monotonicMs(): number {
    return this.ms;
  }
}

test('ready needs every check, live only its own; each says why and since when', () => {
  const clock = new HandClock();
  const health = new Health(clock);
  const loop = health.register('event-loop', 'live', '');
  const store = health.register('store', 'ready', 'replaying the entry log');
  expect(health.live().ok).toBe(true);
  expect(health.ready()).toEqual({
    ok: false,
    checks: [
      { name: 'event-loop', ok: true, reason: '', sinceMs: 1_000 },
      { name: 'store', ok: false, reason: 'replaying the entry log', sinceMs: 1_000 },
    ],
  });

  clock.ms = 2_000;
  store.fail('replaying the entry log: 80%');
  expect(store.report()).toMatchObject({ reason: 'replaying the entry log: 80%', sinceMs: 1_000 });
  store.pass();
  expect(health.ready().ok).toBe(true);
  expect(store.report()).toEqual({ name: 'store', ok: true, reason: '', sinceMs: 2_000 });

  clock.ms = 3_000;
  loop.fail('held for 30 s');
  expect(health.live()).toEqual({
    ok: false,
    checks: [{ name: 'event-loop', ok: false, reason: 'held for 30 s', sinceMs: 3_000 }],
  });
  expect(health.ready().ok).toBe(false);
});

test('with no checks a process is live and ready', () => {
  const health = new Health(new HandClock());
  expect([health.live(), health.ready()]).toEqual([
    { ok: true, checks: [] },
    { ok: true, checks: [] },
  ]);
});

test('two parts cannot answer for one check', () => {
  const health = new Health(new HandClock());
  health.register('store', 'ready', '');
  expect(() => health.register('store', 'live', '')).toThrow('two parts');
});
