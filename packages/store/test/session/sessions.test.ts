import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { LONE_FOUNDER, type NodeInfo } from '@sluice/meta/node-info';
import { RecordBatchBuilder } from '@sluice/queue/record/record-batch-builder';
import { LettingGo } from '../../src/service/letting-go.ts';
import { SessionService } from '../../src/service/session-service.ts';
import { GatewayReturns } from '../../src/session/gateway-returns.ts';
import { PartitionSessions } from '../../src/session/partition-sessions.ts';
import { TestSessions } from '../support/test-session.ts';
import { NO_CHANGE, rest, TestStore, until } from '../support/test-store.ts';

let store: TestStore;
let gateway: TestSessions;
beforeEach(async () => {
  store = await TestStore.start();
  gateway = new TestSessions(store);
});
afterEach(async () => {
  jest.restoreAllMocks();
  await store.remove();
});

/** One batch for these streams, each text for all of them. */
async function publish(streamIds: readonly number[], ...texts: string[]): Promise<void> {
  const builder = new RecordBatchBuilder();
  const targets = streamIds.map((queueId) => ({ queueId, key: undefined }));
  for (const text of texts) builder.add(store.record(0, text, { targets }));
  expect(await store.append(0, builder.finish())).toMatchObject({ status: 'committed', refused: [] });
}

async function begin(clientId: string, ...filters: string[]): Promise<{ epoch: number; streamIds: number[] }> {
  const { epoch } = await gateway.open(clientId);
  const streamIds = await gateway.subscribe(clientId, epoch, ...filters);
  gateway.attach(clientId, epoch);
  return { epoch, streamIds };
}

/** Its cursors have been read; they come when that is called. */
async function attachSlowly(clientId: string, epoch: number): Promise<() => void> {
  const { rows } = store.partition(1).sessions;
  const { cursors } = rows;
  let goOn = (): void => {};
  const isSlow = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  let reading = 0;
  jest.spyOn(rows, 'cursors').mockImplementation(async (...asked) => {
    const read = await cursors.call(rows, ...asked);
    reading++;
    await isSlow;
    return read;
  });
  gateway.attach(clientId, epoch);
  await until(() => reading === 1, 'its cursors are read');
  return goOn;
}

const depthOf = (streamId: number): number => store.partition(1).queues.queue(streamId)?.depth ?? -1;

describe('a session', () => {
  test('gets what comes after its subscription, across filters in the order of the log', async () => {
    const { epoch, streamIds } = await begin('c', 'a', 'b');
    const [a, b] = streamIds as [number, number];
    for (let i = 0; i < 5; i++) {
      await publish([a], `a${i}`, `a${i}'`);
      await publish([b], `b${i}`);
    }
    const expected = [0, 1, 2, 3, 4].flatMap((i) => [`a${i}`, `a${i}'`, `b${i}`]);
    expect(await gateway.received('c', 15)).toEqual(expected);
    gateway.pass('c', epoch, ...gateway.deliveries);
    await until(() => depthOf(a) === 0 && depthOf(b) === 0, 'what all have passed is dropped');
  });

  test('that is attached while rows wait for room on the disk is read when they are there', async () => {
    const { epoch } = await gateway.open('c');
    const [a] = (await gateway.subscribe('c', epoch, 'a')) as [number];
    const partition = store.partition(1);
    const { rows } = partition.sessions;
    const seen: string[] = [];
    const answers = [false, false, true];
    jest.spyOn(partition, 'written').mockImplementation(async () => {
      seen.push(`written: ${answers[0]}`);
      return answers.shift() ?? true;
    });
    const { session } = rows;
    jest.spyOn(rows, 'session').mockImplementation((clientId) => {
      seen.push('read');
      return session.call(rows, clientId);
    });
    gateway.attach('c', epoch);
    await publish([a], '1');
    expect(await gateway.received('c', 1)).toEqual(['1']);
    expect(seen).toEqual(['written: false', 'written: false', 'written: true', 'read']);
  });

  test('has no more than its window unanswered', async () => {
    const { epoch } = await gateway.open('c');
    const [a] = (await gateway.subscribe('c', epoch, 'a')) as [number];
    gateway.attach('c', epoch, 3);
    await publish([a], '1', '2', '3', '4', '5');
    await gateway.received('c', 3);
    await rest();
    expect(gateway.textsOf('c')).toEqual(['1', '2', '3']);
    gateway.pass('c', epoch, gateway.deliveries[1] as (typeof gateway.deliveries)[number]);
    expect(await gateway.received('c', 4)).toEqual(['1', '2', '3', '4']);
  });

  test('goes on inside of a batch, with what its client had not passed', async () => {
    const { epoch, streamIds } = await begin('c', 'a');
    await publish(streamIds, '1', '2', '3', '4', '5', '6');
    await gateway.received('c', 6);
    gateway.pass('c', epoch, ...gateway.deliveries.filter(({ text }) => ['1', '2', '4'].includes(text)));
    await gateway.close('c', epoch);
    await publish(streamIds, '7');
    gateway.deliveries.length = 0;
    const again = await gateway.open('c');
    expect(again).toMatchObject({ present: true, status: 'done' });
    gateway.attach('c', again.epoch);
    expect(await gateway.received('c', 4)).toEqual(['3', '5', '6', '7']);
  });

  test('is there after a restart, with its messages', async () => {
    const { epoch, streamIds } = await begin('c', 'a/#');
    await publish(streamIds, '1', '2');
    await gateway.received('c', 2);
    gateway.pass('c', epoch, gateway.deliveries[0] as (typeof gateway.deliveries)[number]);
    await gateway.close('c', epoch);
    await store.restart();
    gateway = new TestSessions(store);
    const { epoch: next, subscriptions } = await gateway.open('c');
    expect(subscriptions).toEqual([{ filter: 'a/#', options: 1, subscriptionId: 0, streamId: streamIds[0] }]);
    gateway.attach('c', next);
    expect(await gateway.received('c', 1)).toEqual(['2']);
    expect([...gateway.streams]).toEqual([[streamIds[0], 'a/#']]);
  });

  test('is taken over: the former gateway is told, and speaks for it no more', async () => {
    const { epoch, streamIds } = await begin('c', 'a');
    const other = new TestSessions(store);
    const { epoch: next, present } = await other.open('c');
    await until(() => gateway.lost.includes('c'), 'the former one is told');
    expect(present).toBe(true);
    gateway.attach('c', epoch);
    other.attach('c', next);
    await publish(streamIds, '1');
    expect(await other.received('c', 1)).toEqual(['1']);
    expect([gateway.textsOf('c'), (await gateway.close('c', epoch, 0)).status]).toEqual([[], 'done']);
    expect(store.partition(1).machine.sessions.sessionCount).toBe(1);
  });

  test('that another gateway has is answered when that has let it go, or is gone, or says nothing for long', async () => {
    const others = [2, 3, 4].map((nodeId) => new TestSessions(store, nodeId));
    const [second, third, fourth] = others as [TestSessions, TestSessions, TestSessions];
    for (const other of [gateway, ...others]) other.letsGo = false;
    const { epoch } = await begin('c');
    jest.useFakeTimers({ doNotFake: ['setImmediate', 'queueMicrotask', 'nextTick', 'performance', 'Date'] });
    const answered: number[] = [];
    const open = (other: TestSessions, number: number): void => {
      void other.open('c').then(() => answered.push(number));
    };
    const lost = async (other: TestSessions): Promise<void> => {
      while (other.lost.length === 0) await turn();
      for (let i = 0; i < 10; i++) await turn();
    };
    try {
      open(second, 2);
      await lost(gateway);
      expect(answered).toEqual([]);
      gateway.letGo('c', epoch);
      while (answered.length < 1) await turn();
      open(third, 3);
      await lost(second);
      expect(answered).toEqual([2]);
      second.end();
      while (answered.length < 2) await turn();
      open(fourth, 4);
      await lost(third);
      jest.advanceTimersByTime(LettingGo.MS_MAX - 1);
      await turn();
      expect(answered).toEqual([2, 3]);
      jest.advanceTimersByTime(1);
      while (answered.length < 3) await turn();
    } finally {
      jest.useRealTimers();
    }
    expect(answered).toEqual([2, 3, 4]);
  });

  test('whose gateway is gone is disconnected after the grace, and its time begins', async () => {
    const { epoch: former, streamIds } = await begin('c', 'a', 'quiet');
    gateway.attach('c', former);
    await publish(streamIds.slice(0, 1), '1', '2', '3');
    await gateway.received('c', 3);
    gateway.end();
    await rest();
    const { sessions } = store.partition(1).machine;
    expect(sessions.connected('c')).toBeDefined();
    store.sleepMs += PartitionSessions.ORPHAN_GRACE_MS;
    await until(() => sessions.connected('c') === undefined, 'it is disconnected');
    expect(sessions.sessionCount).toBe(1);
    // What it had been brought, and passed, nobody said.
    const other = new TestSessions(store);
    const { epoch, unsure } = await other.open('c');
    expect(unsure).toEqual([{ streamId: streamIds[0], before: 3 }]);
    await other.close('c', epoch);
    store.skewMs += 601_000;
    await until(() => sessions.sessionCount === 0, 'it expires');
    expect(sessions.streamCount).toBe(0);
  });

  test('whose gateway is gone while its rows wait for room on the disk may have been sent all that there is', async () => {
    const { epoch, streamIds } = await begin('c', 'a', 'quiet');
    await publish(streamIds.slice(0, 1), '1', '2');
    await gateway.close('c', epoch, 600, false, true);
    const partition = store.partition(1);
    jest.spyOn(partition, 'written').mockResolvedValue(false);
    jest.spyOn(partition.sessions.rows, 'cursors').mockResolvedValue([undefined, undefined]);
    const { unsure } = await gateway.open('c');
    expect(unsure).toEqual([{ streamId: streamIds[0], before: 2 }]);
  });

  test('whose gateway comes for it while it is being disconnected is lost to that: its client must come again', async () => {
    const { epoch } = await begin('c', 'a');
    const partition = store.partition(1);
    const execute = partition.execute.bind(partition);
    let goOn = (): void => {};
    const isBusy = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    let closing = 0;
    partition.execute = async (command) => {
      if (command.type === 'close-session') {
        closing++;
        await isBusy;
      }
      return execute(command);
    };
    gateway.end();
    await rest();
    store.sleepMs += PartitionSessions.ORPHAN_GRACE_MS;
    await until(() => closing === 1, 'it is to be disconnected');
    const again = new TestSessions(store);
    again.attach('c', epoch);
    await until(() => partition.sessions.attachedCount === 1, 'its gateway is back');
    goOn();
    await until(() => again.lost.includes('c'), 'the gateway is told');
    expect(partition.machine.sessions.connected('c')).toBeUndefined();
  });

  test('with many filters expires in an entry of its own, those with few together', async () => {
    const manyFilters = (of: string): string[] => Array.from({ length: 64 }, (_, i) => `${of}/${i}`.padEnd(200, 'x'));
    for (const clientId of ['a', 'b', 'y', 'z']) {
      const { epoch } = await gateway.open(clientId);
      await gateway.subscribe(clientId, epoch, ...(clientId < 'm' ? manyFilters(clientId) : [clientId]));
      await gateway.close(clientId, epoch, 60);
    }
    const partition = store.partition(1);
    const expired: (readonly string[])[] = [];
    const execute = partition.execute.bind(partition);
    partition.execute = (command) => {
      if (command.type === 'expire-sessions') expired.push(command.clientIds);
      return execute(command);
    };
    store.skewMs += 61_000;
    const { sessions } = partition.machine;
    await until(() => sessions.sessionCount === 0, 'all of them expire');
    expect([sessions.streamCount, expired]).toEqual([0, [['a'], ['b', 'y', 'z']]]);
  });

  test('that nobody keeps costs the log nothing', async () => {
    const before = store.host.status(1)?.applied;
    expect(await gateway.open('c', { expiryS: 0 })).toMatchObject({ status: 'done', epoch: 0, present: false });
    expect(await gateway.open('c', { expiryS: 0, cleanStart: true })).toMatchObject({ status: 'done', epoch: 0 });
    expect(store.host.status(1)?.applied).toBe(before);
  });

  test('whose rows cannot be read for once is brought what waits for it all the same', async () => {
    const { epoch, streamIds } = await begin('c', 'a');
    await gateway.close('c', epoch);
    await publish(streamIds, '1');
    const again = await gateway.open('c');
    jest.spyOn(store.partition(1).sessions.rows, 'cursors').mockRejectedValueOnce(new Error('disk'));
    gateway.attach('c', again.epoch);
    expect(await gateway.received('c', 1)).toEqual(['1']);
  });

  test('is not said to be none when that cannot be read', async () => {
    await gateway.open('other');
    jest.spyOn(store.partition(1).sessions.rows, 'session').mockRejectedValueOnce(new Error('disk'));
    expect((await gateway.open('c', { expiryS: 0 })).status).toBe('unavailable');
    expect((await gateway.open('c', { expiryS: 0 })).status).toBe('done');
  });

  test('is found, and not found, while rows wait for room on the disk', async () => {
    const { epoch } = await gateway.open('away');
    await gateway.close('away', epoch);
    store.engine.holdWrites();
    await gateway.open('here');
    // Nothing is proposed for it, and nothing is waited for.
    expect(await gateway.open('never', { expiryS: 0, cleanStart: true })).toMatchObject({ status: 'done', epoch: 0 });
    const opens = ['away', 'here'].map((clientId) => gateway.open(clientId, { expiryS: 0 }));
    await rest();
    store.engine.release();
    for (const { status, present } of await Promise.all(opens)) expect([status, present]).toEqual(['done', true]);
  });

  test('of somebody else is denied', async () => {
    const { epoch } = await gateway.open('c', { identity: 'ann' });
    await gateway.close('c', epoch);
    expect(await gateway.open('c', { identity: 'bob' })).toMatchObject({ status: 'denied' });
  });
});

describe('a stream', () => {
  test('has one copy for all its sessions, until the last of them has passed it', async () => {
    const first = await begin('c1', 'a');
    const second = await begin('c2', 'a');
    expect(second.streamIds).toEqual(first.streamIds);
    const [streamId] = first.streamIds as [number];
    await publish([streamId], '1', '2', '3');
    await gateway.received('c1', 3);
    await gateway.received('c2', 3);
    expect(depthOf(streamId)).toBe(3);
    // Nobody's queue.
    expect(store.store.figures.queueCount).toBe(0);
    gateway.pass('c1', first.epoch, ...gateway.deliveries.filter(({ clientId }) => clientId === 'c1'));
    gateway.pass('c2', second.epoch, ...gateway.deliveries.filter((one) => one.clientId === 'c2' && one.text !== '3'));
    await until(() => depthOf(streamId) === 1, 'the first two are dropped');
    await gateway.close('c2', second.epoch, 0);
    await until(() => depthOf(streamId) === 0, 'who went has nothing to wait for');
  });

  test('is trimmed although its cursors could not be read once, and so are those that were behind it', async () => {
    const { epoch, streamIds } = await begin('c', 'a', 'b');
    const reading = jest
      .spyOn(store.partition(1).sessions.rows, 'passedByAll')
      .mockRejectedValueOnce(new Error('disk'));
    await publish(streamIds, '1');
    await gateway.received('c', 2);
    gateway.pass('c', epoch, ...gateway.deliveries);
    await until(() => streamIds.every((streamId) => depthOf(streamId) === 0), 'both are trimmed');
    expect(reading).toHaveBeenCalledTimes(3);
  });

  test('that a session has left brings it nothing more, whether or not it keeps the filter', async () => {
    const kept = await begin('other', 'a', 'b');
    const { epoch } = await begin('c', 'a', 'b');
    await publish(kept.streamIds, '1');
    await gateway.received('c', 2);
    gateway.deliveries.length = 0;
    const filters = [{ filter: 'a', options: 0, subscriptionId: 0, isStored: false }];
    const asked = { partition: 1, clientId: 'c', epoch };
    await gateway.ask({ type: 'subscribe', ...asked, subscriptions: filters });
    await gateway.ask({ type: 'unsubscribe', ...asked, filters: ['b'] });
    await publish(kept.streamIds, '2');
    await gateway.received('other', 2);
    await rest();
    expect(gateway.textsOf('c')).toEqual([]);
  });

  test('that a session leaves while it is being attached brings it nothing', async () => {
    const kept = await begin('other', 'a', 'b');
    const { epoch } = await gateway.open('c');
    await gateway.subscribe('c', epoch, 'a', 'b');
    const goOn = await attachSlowly('c', epoch);
    await gateway.ask({ type: 'unsubscribe', partition: 1, clientId: 'c', epoch, filters: ['b'] });
    goOn();
    await publish(kept.streamIds, '1');
    await gateway.received('other', 2);
    await gateway.received('c', 1);
    await rest();
    expect(gateway.textsOf('c')).toEqual(['1']);
  });

  test('that a session subscribes to again while it is being attached brings it all that waits for it', async () => {
    const former = await gateway.open('c');
    const [a] = (await gateway.subscribe('c', former.epoch, 'a')) as [number];
    await gateway.close('c', former.epoch);
    await publish([a], '1');
    const { epoch } = await gateway.open('c');
    const goOn = await attachSlowly('c', epoch);
    expect(await gateway.subscribe('c', epoch, 'a')).toEqual([a]);
    await publish([a], '2');
    goOn();
    expect(await gateway.received('c', 2)).toEqual(['1', '2']);
  });

  test('that a session begins, or leaves and begins again, while it is being attached brings it what comes from then on', async () => {
    const kept = await begin('other', 'a', 'b', 'c');
    const [a, b, c] = kept.streamIds as [number, number, number];
    const { epoch } = await gateway.open('c');
    await gateway.subscribe('c', epoch, 'a');
    await publish([a], 'a of before');
    const goOn = await attachSlowly('c', epoch);
    const asked = { partition: 1, clientId: 'c', epoch };
    await gateway.ask({ type: 'unsubscribe', ...asked, filters: ['a'] });
    await publish([a, b, c], 'between');
    await gateway.subscribe('c', epoch, 'a', 'b', 'c');
    await gateway.ask({ type: 'unsubscribe', ...asked, filters: ['c'] });
    await publish([a], 'a');
    await publish([b, c], 'b');
    goOn();
    expect(await gateway.received('c', 2)).toEqual(['a', 'b']);
    await rest();
    expect(gateway.textsOf('c')).toEqual(['a', 'b']);
  });

  test('that one packet subscribes to twice is brought as the last of both says', async () => {
    const kept = await begin('other', 'a');
    const { epoch } = await begin('c');
    const at = (isStored: boolean) => ({ filter: 'a', options: 0, subscriptionId: 0, isStored });
    const asked = { partition: 1, clientId: 'c', epoch };
    await gateway.ask({ type: 'subscribe', ...asked, subscriptions: [at(true), at(false)] });
    await publish(kept.streamIds, '1');
    await gateway.ask({ type: 'subscribe', ...asked, subscriptions: [at(false), at(true)] });
    await publish(kept.streamIds, '2');
    expect(await gateway.received('c', 1)).toEqual(['2']);
  });

  test('keeps the newest when it is full, and sessions go on behind what was dropped', async () => {
    await store.remove();
    store = await TestStore.start({ streamLimits: { countMax: 4, bytesMax: null } });
    gateway = new TestSessions(store);
    const { epoch } = await gateway.open('c');
    const [streamId] = (await gateway.subscribe('c', epoch, 'a')) as [number];
    for (let i = 1; i <= 10; i++) await publish([streamId], `${i}`);
    await until(() => depthOf(streamId) === 4, 'the oldest are dropped');
    expect(store.metrics.counter('sluice_sessions_stream_dropped_total', '').value).toBe(6);
    gateway.attach('c', epoch);
    expect(await gateway.received('c', 4)).toEqual(['7', '8', '9', '10']);
    gateway.pass('c', epoch, ...gateway.deliveries);
    await until(() => depthOf(streamId) === 0, 'what was dropped is passed as well');
  });

  test('is known to all gateways when its subscription is answered, or they are waited for in vain', async () => {
    await store.remove();
    let nowMs = 0;
    store = await TestStore.start({ clock: { nowMs: () => Date.now(), monotonicMs: () => nowMs } });
    gateway = new TestSessions(store);
    const other = new TestSessions(store);
    await until(() => other.streams.size === 0, 'it is told');
    const { epoch } = await gateway.open('c');
    const [streamId] = (await gateway.subscribe('c', epoch, 'a')) as [number];
    expect(other.streams.get(streamId)).toBe('a');
    other.sees = false;
    let isAnswered = false;
    const answer = gateway.subscribe('c', epoch, 'b').then(() => {
      isAnswered = true;
    });
    await until(() => other.streams.size === 2, 'it is told of that one, too');
    nowMs += SessionService.SEEN_MS_MAX - 1;
    await rest(2 * SessionService.LOOK_MS);
    expect(isAnswered).toBe(false);
    nowMs += 1;
    await answer;
    // One that is waited for in vain when the store ends is not waited for beyond it.
    void gateway.subscribe('c', epoch, 'c');
    await store.restart();
    const timers = jest.spyOn(globalThis, 'setTimeout');
    await rest(2 * SessionService.LOOK_MS);
    expect(timers.mock.calls.filter(([, ms]) => ms === SessionService.LOOK_MS)).toEqual([]);
  });

  describe('of a store that has just begun, before all gateways found it', () => {
    let nowMs = 0;
    const answers: string[] = [];
    beforeEach(async () => {
      await store.remove();
      answers.length = 0;
      store = await TestStore.start({ clock: { nowMs: () => Date.now(), monotonicMs: () => nowMs } });
      const nodes = [gatewayNode(1), gatewayNode(7)];
      store.topology.applyDelta({ ...NO_CHANGE, epoch: store.topology.epoch + 1, nodes });
      gateway = new TestSessions(store);
      const { epoch } = await gateway.open('c');
      for (const filter of ['a', 'b']) {
        void gateway.subscribe('c', epoch, filter).then(() => answers.push(filter));
        await until(() => [...gateway.streams.values()].includes(filter), 'the one that is here stores by it');
        await rest();
        nowMs += SessionService.SEEN_MS_MAX;
      }
      expect(answers).toEqual([]);
    });

    test('is not answered before they know it', async () => {
      const other = new TestSessions(store, 7);
      await until(() => answers.length === 2, 'they are answered');
      expect([...other.streams.values()]).toEqual(['a', 'b']);
    });

    test('is answered when whoever is not here has not come in time, and later waits for nobody', async () => {
      nowMs += GatewayReturns.BEGUN_MS_MAX;
      await until(() => answers.length === 2, 'they are answered');
      await begin('d', 'c');
      expect(gateway.streams.size).toBe(3);
    });
  });

  test('is answered when a gateway that went just before the end of its time could be back, however often it goes', async () => {
    await store.remove();
    let nowMs = 0;
    store = await TestStore.start({ clock: { nowMs: () => Date.now(), monotonicMs: () => nowMs } });
    nowMs += GatewayReturns.BEGUN_MS_MAX;
    gateway = new TestSessions(store);
    const { epoch } = await gateway.open('c');
    let other = new TestSessions(store, 7);
    other.sees = false;
    let isAnswered = false;
    void gateway.subscribe('c', epoch, 'a').then(() => {
      isAnswered = true;
    });
    await until(() => other.streams.size === 1, 'it is told');
    nowMs += SessionService.SEEN_MS_MAX - 10;
    other.end();
    await rest();
    nowMs += 20;
    await rest(2 * SessionService.LOOK_MS);
    expect(isAnswered).toBe(false);
    other = new TestSessions(store, 7);
    other.sees = false;
    await until(() => other.streams.size === 1, 'it is back');
    other.end();
    await rest();
    nowMs += GatewayReturns.LEFT_MS_MAX - 20;
    await until(() => isAnswered, 'it was waited for once');
  });

  test('is one of many that a gateway is told of by pages, the next when it asks; it counts as told behind the last', async () => {
    const { epoch } = await gateway.open('c');
    const filters = Array.from({ length: 20 }, (_, i) => `${i}`.padEnd(6_000, 'x'));
    await gateway.subscribe('c', epoch, ...filters);
    const late = new TestSessions(store);
    late.takesPages = false;
    await until(() => late.pages.length === 1, 'the first page');
    const [streamId] = (await gateway.subscribe('c', epoch, 'a')) as [number];
    // Told at once, and yet not stored in: what was there before is not known there.
    expect([late.pages, late.streams.get(streamId), late.seen]).toEqual([[11], 'a', []]);
    late.takesPages = true;
    late.nextPage();
    await until(() => late.seen.length === 1, 'the last page');
    expect(late.pages).toEqual([11, 10]);
    expect([...late.streams.values()].sort()).toEqual([...filters, 'a'].sort());
  });

  test('is one of many that begin together: told of in pieces, which count as told behind the last', async () => {
    const { epoch } = await gateway.open('c');
    const [changes, seen] = [gateway.changes.length, gateway.seen.length];
    await gateway.subscribe('c', epoch, ...Array.from({ length: 20 }, (_, i) => `${i}`.padEnd(6_000, 'x')));
    const pieces = gateway.changes.slice(changes).map(({ added }) => added);
    expect([pieces, gateway.seen.slice(seen)]).toEqual([[11, 9], [store.partition(1).machine.sessions.streamsVersion]]);
  });

  test('that ends empty is not looked for, and one message tells of all that end together', async () => {
    const { epoch, streamIds } = await begin('c', 'a', 'b', 'c');
    await gateway.close('c', epoch);
    const partition = store.partition(1);
    let scans = 0;
    const { index } = partition;
    const rowsFrom = index.rowsFrom.bind(index);
    index.rowsFrom = (...range) => {
      scans++;
      return rowsFrom(...range);
    };
    const told = gateway.changes.length;
    await gateway.open('c', { cleanStart: true });
    await until(() => gateway.streams.size === 0, 'the gateway is told');
    expect([scans, gateway.changes.slice(told)]).toEqual([0, [{ added: 0, removed: 3 }]]);
    for (const streamId of streamIds) expect(partition.queues.queue(streamId)).toBeUndefined();
  });

  test('that ended refuses nothing and leaves nothing', async () => {
    const { epoch, streamIds } = await begin('c', 'a');
    await publish(streamIds, '1');
    await gateway.ask({ type: 'unsubscribe', partition: 1, clientId: 'c', epoch, filters: ['a'] });
    await until(() => gateway.streams.size === 0, 'gateways are told');
    const { queues } = store.partition(1);
    await until(() => queues.queue(streamIds[0] as number) === undefined, 'its rows are dropped');
  });
});

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function gatewayNode(nodeId: number): NodeInfo {
  return { ...LONE_FOUNDER, nodeId, name: `n${nodeId}`, roles: ['gateway'] };
}
