import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { CONSUMER_STATUSES } from '@sluice/queue/dispatch/consumer-status';
import type { QueueFigures } from '../../src/metrics/queue-figures.ts';
import { QueueGatherer } from '../../src/metrics/queue-gatherer.ts';
import { QueuePaces } from '../../src/metrics/queue-paces.ts';
import { DEFINITION, TestStore, until } from '../support/test-store.ts';

const OBJECTIVE_MS = 300_000;
/** The clocks go on by themselves, too: slowly on a busy machine. */
const SLACK_S = 20;
const NAME = DEFINITION.name;
const [OK, FALLING_BEHIND, STALLED, NO_CONSUMERS] = CONSUMER_STATUSES.map((_, i) => i);

let store: TestStore;
let gatherer: QueueGatherer;

beforeEach(async () => {
  store = await TestStore.start();
  gatherer = newGatherer();
  await store.define();
});
afterEach(async () => {
  jest.restoreAllMocks();
  await store.remove();
});

function newGatherer(): QueueGatherer {
  const { partitions } = store.store;
  return new QueueGatherer({ partitions, topology: store.topology, clock: store.clock, objectiveMs: OBJECTIVE_MS });
}

async function figures(): Promise<QueueFigures> {
  const [found] = await gatherer.named((name) => name === NAME);
  if (found === undefined) throw new Error('the queue is not there');
  return found;
}

function near(seconds: number | undefined, wanted: number): void {
  expect(seconds).toBeGreaterThanOrEqual(wanted - 0.01);
  expect(seconds).toBeLessThan(wanted + SLACK_S);
}

/** Both clocks go on. */
function pass(ms: number): void {
  store.skewMs += ms;
  store.sleepMs += ms;
}

describe('the age of the oldest message', () => {
  test('is exact to the message, whichever goes first, and read once while nothing goes', async () => {
    await store.publishEach(1, ['a']);
    pass(200_000);
    await store.publishEach(1, ['b']);
    pass(100_000);
    await store.publishEach(1, ['c']);
    const consumer = store.attach(1);
    await until(() => consumer.delivered.length === 3, 'all are with the consumer');
    near((await figures()).ageSeconds, 300);
    // Out of order: the row of the second is gone, the first is still the oldest.
    consumer.accept(1);
    await until(async () => (await figures()).depth === 2, 'b is settled');
    near((await figures()).ageSeconds, 300);
    consumer.accept(0);
    await until(async () => (await figures()).depth === 1, 'a is settled');
    near((await figures()).ageSeconds, 0);
    const reads = jest.spyOn(store.engine, 'getMany');
    const scans = jest.spyOn(store.engine, 'scan');
    pass(70_000);
    near((await figures()).ageSeconds, 70);
    expect([reads.mock.calls.length, scans.mock.calls.length]).toEqual([0, 0]);
    consumer.accept(2);
    await until(async () => (await figures()).depth === 0, 'nothing is left');
    expect(await figures()).toMatchObject({ ageSeconds: 0, drainSeconds: 0, status: OK });
  });
});

describe('the state of consumers', () => {
  test('no consumers, working, stalled: as somebody would say who looked', async () => {
    const paces = new QueuePaces(store.store.partitions, store.clock);
    jest.spyOn(QueuePaces.prototype, 'of').mockImplementation((queue) => of.call(paces, queue));
    await store.publishEach(1, ['a', 'b']);
    expect((await figures()).status).toBe(NO_CONSUMERS);
    const consumer = store.attach(1, 1);
    await until(() => consumer.delivered.length === 1, 'it has the first');
    await paces.look();
    expect((await figures()).status).toBe(OK);
    await passLooking(paces, 65_000);
    expect((await figures()).status).toBe(STALLED);
    near((await figures()).oldestHeldSeconds, 65);
    // One acknowledgement, and what takes that long may take it again.
    consumer.accept(0);
    await until(() => consumer.delivered.length === 2, 'it has the second');
    await passLooking(paces, 65_000);
    expect((await figures()).status).not.toBe(STALLED);
  });

  test('active are those that acknowledged something within a minute, and coming and going is counted', async () => {
    await store.publishEach(1, ['a', 'b', 'c']);
    const worker = store.attach(1, 1);
    const refuser = store.attach(1, 1);
    const idler = store.attach(1, 1);
    const held = () => worker.delivered.length + refuser.delivered.length + idler.delivered.length;
    await until(() => held() === 3, 'each has one');
    expect(await figures()).toMatchObject({ consumers: 3, activeConsumers: 0, rebalances: 3 });
    worker.accept(worker.delivered[0]?.offset as number);
    await until(async () => (await figures()).activeConsumers === 1, 'it has acknowledged');
    refuser.reject(refuser.delivered[0]?.offset as number);
    pass(50_000);
    expect((await figures()).activeConsumers).toBe(1);
    pass(60_000);
    expect((await figures()).activeConsumers).toBe(0);
    idler.detach();
    await until(async () => (await figures()).consumers === 2, 'it has left');
    expect((await figures()).rebalances).toBe(4);
  });

  test('falling behind is more in than out, once it is old enough to matter', async () => {
    const paces = new QueuePaces(store.store.partitions, store.clock);
    jest.spyOn(QueuePaces.prototype, 'of').mockImplementation((queue) => of.call(paces, queue));
    store.attach(1, 1);
    await until(async () => (await figures()).consumers === 1, 'it is attached');
    await paces.look();
    await store.publishEach(1, ['a', 'b', 'c']);
    await passLooking(paces, 5_000);
    const young = await figures();
    expect([young.drainSeconds, young.status]).toEqual([Number.POSITIVE_INFINITY, OK]);
    // Its own objective is what counts, where it has one.
    await store.define({ lagObjectiveMs: 10_000 });
    expect([(await figures()).objectiveMs, (await figures()).status]).toEqual([10_000, FALLING_BEHIND]);
    await store.define({ lagObjectiveMs: null });
    expect([(await figures()).objectiveMs, (await figures()).status]).toEqual([OBJECTIVE_MS, OK]);
    await passLooking(paces, 30_000);
    expect((await figures()).status).toBe(FALLING_BEHIND);
  });

  async function passLooking(paces: QueuePaces, ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += QueuePaces.LOOK_MS) {
      pass(QueuePaces.LOOK_MS);
      await paces.look();
    }
  }
});

test('why messages are delivered again, and for how long they waited and were worked on', async () => {
  await store.publishEach(1, ['a']);
  pass(200_000);
  const first = store.attach(1);
  await until(() => first.delivered.length === 1, 'it was delivered');
  first.reject(0);
  await until(() => first.delivered.length === 2, 'and again');
  first.reject(0);
  await until(() => first.delivered.length === 3, 'and once more');
  first.detach();
  const second = store.attach(1);
  await until(() => second.delivered.length === 1, 'and to the next');
  pass(300_000);
  second.accept(0);
  await until(async () => (await figures()).depth === 0, 'it is settled');
  const { delivered, redeliveredRejected, redeliveredDetached, redeliveredFailover, waitSeconds, processingSeconds } =
    await figures();
  expect([delivered, redeliveredRejected, redeliveredDetached, redeliveredFailover]).toEqual([4, 2, 1, 0]);
  expect(waitSeconds?.count).toBe(1);
  near(waitSeconds?.sum, 200);
  expect(processingSeconds?.count).toBe(1);
  near(processingSeconds?.sum, 300);
});

test('what is deliverable, held and due to be lost', async () => {
  await store.define({ limits: { countMax: 10, bytesMax: null, overflow: 'refuse' } });
  await store.publishEach(1, ['a', 'b', 'c', 'd']);
  const consumer = store.attach(1, 3);
  await until(() => consumer.delivered.length === 3, 'three are held');
  const { ready, inflight, windowTotal, lossHorizonSeconds, definition } = await figures();
  expect([ready, inflight, windowTotal]).toEqual([1, 3, 3]);
  near(definition.dataRetentionMs / 1_000 - lossHorizonSeconds, 0);
});

const { of } = QueuePaces.prototype;
