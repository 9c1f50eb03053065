import { expect, test } from '@jest/globals';
import { History } from './history.ts';
import { checkHistory, isClean, type QueueFigures, SETTLE_MS } from './queue-checker.ts';

const JOBS = { name: 'jobs', isLastValue: false, takes: (topic: string) => topic === 'jobs' };
const STATE = { name: 'state', isLastValue: true, takes: (topic: string) => topic === 'state' };
const NONE = new Map<string, QueueFigures>();

/** Ten messages acknowledged and delivered, each once; the hash of `mN` is `hN`. */
function tenJobs(): History {
  const history = new History([JOBS, STATE]);
  for (let n = 0; n < 10; n++) {
    history.invoke(`m${n}`, { topic: 'jobs', hash: `h${n}` });
    history.sent(`m${n}`);
    history.ok(`m${n}`);
    deliver(history, n, n).acceptedAtMs = n;
  }
  return history;
}

function deliver(history: History, n: number, atMs: number, hash = `h${n}`) {
  return history.delivered({ queue: 'jobs', consumer: 'c', id: `m${n}`, topic: 'jobs', hash, atMs });
}

function value(history: History, sequence: number): void {
  history.invoke(`v${sequence}`, { topic: 'state', hash: 'h', key: 'k', sequence });
  history.sent(`v${sequence}`);
  history.ok(`v${sequence}`);
}

function deliverValue(history: History, sequence: number): void {
  history.delivered({ queue: 'state', consumer: 'c', id: `v${sequence}`, topic: 'state', hash: 'h', atMs: 0 });
}

test('a history without a fault is clean', () => {
  const verdict = checkHistory(tenJobs(), NONE);
  expect(isClean(verdict)).toBe(true);
  expect(verdict).toMatchObject({ publishes: 10, acknowledged: 10, deliveries: 10, duplicates: 0 });
});

test('one lost message is found', () => {
  const history = tenJobs();
  history.deliveries.splice(4, 1);
  expect(checkHistory(history, NONE).lost).toEqual(['m4 on jobs, acknowledged, never delivered by jobs']);
});

test('a message nobody was promised may be missing, or be there', () => {
  const history = tenJobs();
  for (const id of ['unknown', 'refused', 'stored']) {
    history.invoke(id, { topic: 'jobs', hash: 'h' });
    history.sent(id);
  }
  history.fail('refused');
  history.delivered({ queue: 'jobs', consumer: 'c', id: 'stored', topic: 'jobs', hash: 'h', atMs: 0 });
  expect(isClean(checkHistory(history, NONE))).toBe(true);
});

test('one invented message is found: unknown, never sent, other bytes, another topic, another queue', () => {
  const delivery = { queue: 'jobs', consumer: 'c', topic: 'jobs', hash: 'h0', atMs: 0 };
  for (const [change, id] of [
    [{}, 'nobody'],
    [{}, 'unsent'],
    [{ hash: 'other' }, 'm0'],
    [{ topic: 'other' }, 'm0'],
    [{ queue: 'state' }, 'm0'],
  ] as const) {
    const history = tenJobs();
    history.invoke('unsent', { topic: 'jobs', hash: 'h0' });
    history.delivered({ ...delivery, ...change, id });
    expect(checkHistory(history, NONE).invented).toHaveLength(1);
  }
});

test('one duplicate without a fault is found', () => {
  const history = tenJobs();
  deliver(history, 3, 20);
  const verdict = checkHistory(history, NONE);
  expect(verdict.duplicates).toBe(1);
  expect(verdict.repeated).toEqual(['m3 on jobs, delivered by jobs to c: 1 times more, 0 excused']);
});

test('a fault excuses what was in flight, and nothing else', () => {
  const history = tenJobs();
  history.faults.push({ kind: 'kill', fromMs: 100_000, toMs: 101_000 });
  deliver(history, 3, 102_000);
  // Acknowledged long before the fault: settled by then.
  expect(checkHistory(history, NONE).repeated).toHaveLength(1);
  (history.deliveries[3] as { acceptedAtMs: number | undefined }).acceptedAtMs = 100_000 - SETTLE_MS + 1;
  expect(checkHistory(history, NONE).repeated).toHaveLength(0);
  (history.deliveries[3] as { acceptedAtMs: number | undefined }).acceptedAtMs = undefined;
  expect(checkHistory(history, NONE).repeated).toHaveLength(0);
  // A second one needs a second excuse.
  deliver(history, 3, 103_000);
  expect(checkHistory(history, NONE).repeated).toHaveLength(1);
});

test('a client that sent twice may be heard twice', () => {
  const history = tenJobs();
  history.sent('m3');
  deliver(history, 3, 20);
  expect(isClean(checkHistory(history, NONE))).toBe(true);
  deliver(history, 3, 21);
  expect(checkHistory(history, NONE).repeated).toHaveLength(1);
});

test('of last values the newest must come, in order', () => {
  const history = tenJobs();
  for (let sequence = 0; sequence < 3; sequence++) value(history, sequence);
  deliverValue(history, 1);
  expect(checkHistory(history, NONE).lost).toEqual(['v2 on state, acknowledged, never delivered by state']);
  deliverValue(history, 2);
  expect(isClean(checkHistory(history, NONE))).toBe(true);
  deliverValue(history, 0);
  expect(checkHistory(history, NONE).backwards).toHaveLength(1);
});

test('figures that do not add up are found', () => {
  const good: QueueFigures = {
    depth_messages: 0,
    inflight_messages: 0,
    published_total: 10,
    accepted_total: 9,
    expired_total: 1,
    overwritten_total: 0,
    dropped_total: 0,
    purged_total: 0,
  };
  const check = (change: Partial<QueueFigures>) =>
    checkHistory(tenJobs(), new Map([['jobs', { ...good, ...change }]])).miscounted;
  expect(check({})).toEqual([]);
  expect(check({ depth_messages: 1, accepted_total: 8 })).toHaveLength(1);
  expect(check({ inflight_messages: 1 })).toHaveLength(1);
  expect(check({ accepted_total: 8 })).toHaveLength(1);
  expect(check({ published_total: 9, accepted_total: 8 })).toHaveLength(1);
  expect(check({ published_total: 11, accepted_total: 10 })).toHaveLength(1);
});
