import { describe, expect, jest, test } from '@jest/globals';
import { LeaderWaiting } from '../../src/deliver/leader-waiting.ts';
import type { QueueDelivery } from '../../src/deliver/queue-subscriptions.ts';
import {
  attachments,
  BY_FILTER,
  Collector,
  consumers,
  DEFINITION,
  item,
  opened,
  routes,
  setUp,
  stores,
  turn,
  until,
} from '../doubles/attachments-scene.ts';

describe('a leader that is lost', () => {
  test('is replaced the moment another is known, who is told what the client holds and what it had accepted', async () => {
    const { store } = setUp([DEFINITION]);
    const collector = new Collector();
    const attachment = attachments.attach(BY_FILTER, collector);
    store.deliver(1, item(0), item(1), { ...item(2), deliveryCount: 3 });
    attachment.accept(collector.deliveries[0] as QueueDelivery);
    store.lose();
    expect(attachments.counts()).toEqual({ attached: 0, waiting: 1 });
    const next = stores.of(2);
    consumers.settle(0, { partition: 1, queueId: 1, rowBase: 0, offset: 9 }, false);
    opened(2).receive({ type: 'leading', partition: 1, term: 2 });
    expect(attachments.counts()).toEqual({ attached: 1, waiting: 0 });
    const sizeBytes = collector.deliveries[1]?.record.sizeBytes;
    expect(next.requests).toMatchObject([
      {
        type: 'attach',
        window: 5,
        held: [
          { offset: 1, rowBase: 0, deliveryCount: 1, sizeBytes },
          { offset: 2, rowBase: 0, deliveryCount: 3, sizeBytes },
        ],
      },
      { type: 'settle-late', partition: 1, term: 2, upTo: 1, items: [{ queueId: 1, rowBase: 0, offset: 0 }] },
      { type: 'resumed', partition: 1, term: 2 },
    ]);
    attachment.accept(collector.deliveries[1] as QueueDelivery);
    await turn();
    expect(next.of('settle')).toMatchObject([{ term: 2, upTo: 2, items: [{ offset: 1, accepted: true }] }]);
    expect(consumers.unconfirmed).toBe(2);
    next.receive({ type: 'settled', partition: 1, upTo: 2 });
    expect(consumers.unconfirmed).toBe(0);
  });

  test('and what the client gives back meanwhile is not claimed any more', () => {
    const { store } = setUp([DEFINITION]);
    const collector = new Collector();
    const attachment = attachments.attach(BY_FILTER, collector);
    store.deliver(1, item(0), item(1));
    store.lose();
    attachment.reject(collector.deliveries[0] as QueueDelivery);
    routes.announced(1, 2, 2);
    expect(stores.of(2).of('attach')).toMatchObject([{ held: [{ offset: 1 }] }]);
    expect(stores.of(2).of('settle-late')).toEqual([]);
  });

  test('and a client that still holds what it had gets no more than its window in all', () => {
    const { store } = setUp([DEFINITION]);
    const collector = new Collector();
    const attachment = attachments.attach(BY_FILTER, collector);
    store.deliver(1, item(0), item(1), item(2));
    store.lose();
    routes.announced(1, 2, 2);
    const next = stores.of(2);
    expect(next.of('attach')).toMatchObject([{ window: 5, held: [{}, {}, {}] }]);
    next.receive({ type: 'lost', consumerId: next.consumerOf(1), offsets: [0, 2] });
    for (const delivery of collector.deliveries) attachment.accept(delivery);
    expect(next.of('window').map(({ window }) => window)).toEqual([3, 4, 5]);
  });

  test('and given the job to somebody else meanwhile: that it is done is told all the same', async () => {
    const { store } = setUp([DEFINITION]);
    const collector = new Collector();
    const attachment = attachments.attach(BY_FILTER, collector);
    store.deliver(1, item(0), item(1));
    store.lose();
    routes.announced(1, 2, 2);
    const next = stores.of(2);
    next.receive({ type: 'lost', consumerId: next.consumerOf(1), offsets: [0, 1] });
    attachment.accept(collector.deliveries[0] as QueueDelivery);
    attachment.reject(collector.deliveries[1] as QueueDelivery);
    await turn();
    expect(next.of('settle')).toEqual([]);
    expect(next.of('settle-late')).toMatchObject([{ items: [{ queueId: 1, rowBase: 0, offset: 0 }] }]);
  });

  test('or is silent: whoever is attached there moves when another announces itself', () => {
    const { store } = setUp([DEFINITION]);
    attachments.attach(BY_FILTER, new Collector());
    routes.announced(1, 3, 2);
    expect(store.requests.at(-1)).toMatchObject({ type: 'detach' });
    expect(stores.of(3).of('attach')).toHaveLength(1);
  });

  test('and refuses with a hint: the hint is followed at once', () => {
    const { store } = setUp([DEFINITION]);
    for (let i = 0; i < 3; i++) attachments.attach(BY_FILTER, new Collector());
    for (const { consumerId } of store.of('attach')) {
      store.receive({ type: 'detached', consumerId, reason: 'not-leader', leader: 2 });
    }
    expect(stores.of(2).of('attach')).toHaveLength(3);
  });

  test('with nobody known, one is sent ahead to each replica in turn, and all follow where it is not refused', async () => {
    setUp([DEFINITION]);
    routes.suspect(1, 1);
    for (const nodeId of [1, 2]) {
      stores.of(nodeId).answer = (request) =>
        request.type === 'attach'
          ? { type: 'detached', consumerId: request.consumerId, reason: 'not-leader', leader: 0 }
          : undefined;
    }
    for (let i = 0; i < 10; i++) attachments.attach(BY_FILTER, new Collector());
    expect(stores.of(3).requests).toEqual([]);
    await until(() => attachments.counts().attached === 10);
    expect(stores.of(3).of('attach')).toHaveLength(10);
    expect(stores.of(1).of('attach').length + stores.of(2).of('attach').length).toBeLessThanOrEqual(4);
    expect(routes.leaderOf(1)).toBe(3);
  });

  test('a leader that refuses, because it does not know the queue yet, is asked again after a pause', async () => {
    const { store } = setUp([DEFINITION]);
    jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate'] });
    let asked = 0;
    store.answer = (request) => {
      if (request.type !== 'attach') return undefined;
      if (++asked > 3) return undefined;
      return { type: 'detached', consumerId: request.consumerId, reason: 'not-leader', leader: 1 };
    };
    attachments.attach(BY_FILTER, new Collector());
    for (const times of [1, 2, 3]) {
      await turn();
      expect(asked).toBe(times);
      jest.advanceTimersByTime(LeaderWaiting.PAUSE_MS_MIN - 1);
      await turn();
      expect(asked).toBe(times);
      jest.advanceTimersByTime(LeaderWaiting.PAUSE_MS_MAX);
    }
    await turn();
    expect([asked, attachments.counts().attached, store.of('attach').length]).toEqual([4, 1, 4]);
    expect(routes.leaderOf(1)).toBe(1);
  });

  test('who left meanwhile is not attached again', () => {
    const { store } = setUp([DEFINITION]);
    const leaving = attachments.attach(BY_FILTER, new Collector());
    const staying = attachments.attach(BY_FILTER, new Collector());
    store.lose();
    leaving.detach();
    routes.announced(1, 2, 2);
    expect(stores.of(2).of('attach')).toHaveLength(1);
    staying.detach();
    expect(attachments.counts()).toEqual({ attached: 0, waiting: 0 });
  });
});
