import { expect, test } from '@jest/globals';
import { RouteWaiters } from '@sluice/gateway/live/route-waiters';

test('each is let go once and in its turn, also where somebody always waits', () => {
  const waiters = new RouteWaiters();
  const gone: number[] = [];
  for (let version = 1; version <= 10_000; version++) {
    waiters.add({ routesSeen: () => gone.push(version) }, version, version + 10);
    waiters.seen(version - 3);
    expect(gone.length).toBe(Math.max(0, version - 3));
    expect(waiters.overdue(version + 8)).toBe(version > 2 ? version - 2 : 0);
  }
  expect(waiters.isEmpty).toBe(false);
  waiters.seen(10_000);
  expect(waiters.isEmpty).toBe(true);
  expect(gone).toEqual(Array.from({ length: 10_000 }, (_, i) => i + 1));
});

test('who comes late with a version of before is let go, and is overdue, with those who wait for a newer one', () => {
  const waiters = new RouteWaiters();
  const gone: string[] = [];
  waiters.add({ routesSeen: () => gone.push('newer') }, 7, 10);
  waiters.add({ routesSeen: () => gone.push('older') }, 6, 11);
  expect(waiters.overdue(11)).toBe(7);
  waiters.seen(6);
  expect(gone).toEqual([]);
  waiters.seen(7);
  expect(gone).toEqual(['newer', 'older']);
});
