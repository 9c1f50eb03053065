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
    history.sent(`m${n}`, n);
    history.ok(`m${n}`, n);
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

test('what had no answer when a fault began is sent again by gateways, and stored once all the same', () => {
  const history = tenJobs();
  history.faults.push({ kind: 'kill', fromMs: 100_000, toMs: 101_000 });
  history.invoke('late', { topic: 'jobs', hash: 'h' });
  history.sent('late', 99_999);
  history.ok('late', 100_500);
  for (const atMs of [101_100, 101_101]) {
    history.delivered({ queue: 'jobs', consumer: 'c', id: 'late', topic: 'jobs', hash: 'h', atMs }).acceptedAtMs = atMs;
  }
  const verdict = checkHistory(history, NONE);
  expect(verdict.repeated).toEqual(['late on jobs, delivered by jobs to c: 1 times more, 0 excused']);
});

test('what only a change of leader explains is counted as taken from its consumer, what its lost connection explains is not', () => {
  const history = tenJobs();
  const first = history.deliveries.find(({ id }) => id === 'm3') as (typeof history.deliveries)[number];
  first.acceptedAtMs = undefined;
  history.faults.push({ kind: 'kill', fromMs: 0, toMs: 101_000 });
  deliver(history, 3, 100_500);
  expect(checkHistory(history, NONE)).toMatchObject({ repeated: [], duplicates: 1, takenBack: 1 });
  history.faults.push({ kind: 'c lost its connection', queue: 'jobs', fromMs: 0, toMs: 101_000 });
  expect(checkHistory(history, NONE)).toMatchObject({ repeated: [], duplicates: 1, takenBack: 0 });
});

test('what was settled before a drain never comes back, fault or not', () => {
  const history = tenJobs();
  history.drainsMs.push(100_000);
  history.faults.push({ kind: 'kill', fromMs: 0, toMs: 101_000 });
  deliver(history, 3, 100_500);
  expect(checkHistory(history, NONE).resurrected).toHaveLength(1);
});

/** One publisher's messages, delivered in the order given, a second from each to the next. */
function inOrder(order: 'stored' | 'consumer', places: number[], consumers: string[] = []): History {
  const history = new History([{ ...JOBS, order }]);
  for (const place of [...places].sort()) {
    history.invoke(`p${place}`, { topic: 'jobs', hash: 'h', publisher: 'p', place });
    history.sent(`p${place}`, 0);
    history.ok(`p${place}`, 0);
  }
  places.forEach((place, n) => {
    const consumer = consumers[n] ?? 'c';
    const atMs = 10_000 + 1_000 * n;
    history.delivered({ queue: 'jobs', consumer, id: `p${place}`, topic: 'jobs', hash: 'h', atMs }).acceptedAtMs = atMs;
  });
  return history;
}

test('a message that was overtaken by a later one of its publisher is found, unless a fault was there', () => {
  expect(checkHistory(inOrder('consumer', [1, 2, 3]), NONE).disordered).toEqual([]);
  const history = inOrder('consumer', [1, 3, 2]);
  expect(checkHistory(history, NONE).disordered).toEqual(["p2 on jobs, delivered by jobs to c after p's 3"]);
  // Long after it, long before it, around it.
  for (const [fromMs, toMs, found] of [
    [1_000, 2_000, 1],
    [20_000, 21_000, 1],
    [11_500, 12_500, 0],
  ] as const) {
    history.faults.splice(0, 1, { kind: 'kill', fromMs, toMs });
    expect(checkHistory(history, NONE).disordered).toHaveLength(found);
  }
  history.faults.splice(0, 1, { kind: 'c lost its connection', queue: 'other', fromMs: 11_500, toMs: 12_500 });
  expect(checkHistory(history, NONE).disordered).toHaveLength(1);
  // Two consumers work side by side.
  expect(checkHistory(inOrder('consumer', [1, 3, 2], ['c', 'd', 'c']), NONE).disordered).toEqual([]);
});

test('in the order of the log no fault excuses anything', () => {
  const history = inOrder('stored', [1, 3, 2]);
  history.faults.push({ kind: 'kill', fromMs: 11_500, toMs: 12_500 });
  expect(checkHistory(history, NONE).disordered).toHaveLength(1);
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
  expect(
    checkHistory(tenJobs(), new Map([['jobs', { ...good, published_total: 12, accepted_total: 11 }]])).copies,
  ).toBe(2);
  expect(check({ depth_messages: 1, accepted_total: 8 })).toHaveLength(1);
  expect(check({ inflight_messages: 1 })).toHaveLength(1);
  expect(check({ accepted_total: 8 })).toHaveLength(1);
  expect(check({ published_total: 9, accepted_total: 8 })).toHaveLength(1);
  expect(check({ published_total: 11, accepted_total: 10 })).toHaveLength(1);
});
