import { describe, expect, jest, test } from '@jest/globals';
import { SeededPrng } from '@sluice/common/prng';
import type { QueueDefinition } from '@sluice/meta/queue-definition';
import { AttachedQueue } from '../../src/deliver/queue-attachment.ts';
import type { QueueDelivery, QueueReference } from '../../src/deliver/queue-subscriptions.ts';
import {
  answers,
  attachments,
  BY_FILTER,
  Collector,
  DEFINITION,
  encoded,
  setUp,
  topology,
  turn,
  until,
  wanted,
} from '../doubles/attachments-scene.ts';

describe('binding', () => {
  test('a queue that does not exist is waited for, and bound when it appears', async () => {
    const { store, change } = setUp([]);
    attachments.attach(BY_FILTER, new Collector());
    await turn();
    expect(store.requests).toEqual([]);
    expect(attachments.counts()).toEqual({ attached: 0, waiting: 1 });
    change([DEFINITION]);
    await turn();
    expect(store.of('attach')).toMatchObject([{ queueId: 1, partition: 1, window: 5, clientId: 'c' }]);
    expect(attachments.counts()).toEqual({ attached: 1, waiting: 0 });
  });

  test('a queue whose topics its client may not consume is none to it, until it may, and not any longer', async () => {
    const { store, change } = setUp([]);
    const consumer = new Collector();
    consumer.forbidden.add(DEFINITION.topicFilter);
    const attachment = attachments.attach({ by: 'name', name: DEFINITION.name, filter: undefined }, consumer);
    change([DEFINITION]);
    await turn();
    expect(store.of('attach')).toEqual([]);
    consumer.forbidden.clear();
    attachment.lookAgain();
    await turn();
    expect(store.of('attach')).toMatchObject([{ queueId: 1, clientId: 'c' }]);
    consumer.forbidden.add(DEFINITION.topicFilter);
    attachment.lookAgain();
    await turn();
    expect(store.of('detach')).toHaveLength(1);
    expect(attachments.counts()).toEqual({ attached: 0, waiting: 1 });
  });

  test('by name, with a filter that does not match: waits until the queue has it', async () => {
    const { store, change } = setUp([DEFINITION]);
    attachments.attach({ by: 'name', name: 'q', filter: 'other' }, new Collector());
    await turn();
    expect(store.requests).toEqual([]);
    change([{ ...DEFINITION, queueId: 2, topicFilter: 'other' }], [1]);
    await turn();
    expect(store.of('attach')).toMatchObject([{ queueId: 2 }]);
  });

  test('a queue re-created under its name is another queue', async () => {
    const { store, change } = setUp([DEFINITION]);
    attachments.attach(BY_FILTER, new Collector());
    change([], [1]);
    change([{ ...DEFINITION, queueId: 2 }]);
    await turn();
    expect(store.requests.map(({ type }) => type)).toEqual(['attach', 'detach', 'attach']);
    expect(store.of('attach')[1]).toMatchObject({ queueId: 2 });
  });

  test('a change of anything but the window leaves the consumer alone', async () => {
    const { store, change } = setUp([DEFINITION]);
    attachments.attach(BY_FILTER, new Collector());
    change([{ ...DEFINITION, dispatchStrategy: 'round_robin', version: 2 }]);
    change([{ ...DEFINITION, localMaxInflight: 3, version: 3 }]);
    await turn();
    expect(store.requests.slice(1)).toMatchObject([{ type: 'window', window: 3 }]);
  });
});

describe('among many', () => {
  test('a change looks at the subscriptions that could mean its queue, and at no other', () => {
    const queueOf = (queueId: number): QueueDefinition => ({
      ...DEFINITION,
      queueId,
      name: `/t/${queueId}`,
      topicFilter: `t/${queueId}`,
    });
    const { change } = setUp(Array.from({ length: 500 }, (_, i) => queueOf(i + 1)));
    for (let i = 1; i <= 502; i++) attachments.attach({ by: 'filter', filter: `t/${i}` }, new Collector());
    const bind = jest.spyOn(AttachedQueue.prototype, 'bind');
    change([queueOf(501)]);
    change([{ ...queueOf(7), version: 2, localMaxInflight: 3 }]);
    change([], [8]);
    attachments.topologyChanged();
    expect(bind).toHaveBeenCalledTimes(3);
    bind.mockRestore();
  });

  test('whatever changes, each is bound to the queue it means', () => {
    const prng = new SeededPrng(7);
    const pick = <T>(of: readonly T[]): T => of[prng.below(of.length)] as T;
    const filters = ['a', 'b', 'c/#'];
    const names = ['one', 'two', '/a', '/b', '/c/#'];
    const { change } = setUp([]);
    const attached: AttachedQueue[] = [];
    const meant = ({ reference: of }: AttachedQueue): QueueDefinition | undefined => {
      if (of.by === 'filter') return topology.queueByFilter(of.filter);
      const named = topology.queueByName(of.name);
      return of.filter === undefined || of.filter === named?.topicFilter ? named : undefined;
    };
    for (let step = 0; step < 600; step++) {
      const reference: QueueReference = pick([
        { by: 'filter', filter: pick(filters) },
        { by: 'name', name: pick(names), filter: pick([undefined, ...filters]) },
      ]);
      if (attached.length < 12) attached.push(attachments.attach(reference, new Collector()) as AttachedQueue);
      else attached.splice(prng.below(attached.length), 1)[0]?.detach();
      const gone =
        prng.below(2) === 0
          ? topology
              .list()
              .slice(0, 4)
              .filter(() => prng.below(2) === 0)
          : [];
      const name = pick(names);
      const isFree = topology.queueByName(name) === undefined || gone.some((queue) => queue.name === name);
      const topicFilter = name.startsWith('/') ? name.slice(1) : pick(filters);
      const partitions = pick([[1], [1, 2]]);
      const made = { ...DEFINITION, queueId: step + 1, version: step + 1, name, topicFilter, partitions };
      change(
        isFree ? [made] : [],
        gone.map(({ queueId }) => queueId),
      );
      expect(attached.map(({ definition }) => definition?.queueId)).toEqual(attached.map((one) => meant(one)?.queueId));
    }
  });
});

describe('settling', () => {
  test('answers of one turn travel together, and before a detach', async () => {
    const { store } = setUp([DEFINITION]);
    const collector = new Collector();
    const attachment = attachments.attach(BY_FILTER, collector);
    await turn();
    const consumerId = store.of('attach')[0]?.consumerId as number;
    const deliveries = [0, 1].map((offset) => ({ offset, rowBase: 0, deliveryCount: 1, record: encoded('x') }));
    store.deliver(1, ...deliveries);
    await turn();
    attachment.accept(collector.deliveries[0] as QueueDelivery);
    attachment.reject(collector.deliveries[1] as QueueDelivery);
    attachment.detach();
    await turn();
    expect(store.requests.slice(1)).toMatchObject([
      {
        type: 'settle',
        items: [
          { consumerId, offset: 0, accepted: true },
          { consumerId, offset: 1, accepted: false },
        ],
      },
      { type: 'detach', consumerId },
    ]);
  });

  test('an answer to what an earlier binding delivered says nothing to the present one', async () => {
    const { store, change } = setUp([DEFINITION]);
    const collector = new Collector();
    const attachment = attachments.attach(BY_FILTER, collector);
    await turn();
    const delivery = { offset: 0, rowBase: 0, deliveryCount: 1, record: encoded('x') };
    store.deliver(1, delivery);
    await turn();
    change([{ ...DEFINITION, queueId: 2 }], [1]);
    attachment.accept(collector.deliveries[0] as QueueDelivery);
    await turn();
    expect(store.of('settle')).toEqual([]);
  });
});

describe('a queue that is subscribed to and does not exist', () => {
  test('is wanted when the subscription says its filter, and not while its name is taken', () => {
    setUp([]);
    attachments.attach(BY_FILTER, new Collector());
    attachments.attach({ by: 'name', name: 'q', filter: 'a/b' }, new Collector());
    attachments.attach({ by: 'name', name: 'no-filter', filter: undefined }, new Collector());
    expect(wanted).toEqual(['/t/# t/#', 'q a/b']);
  });

  test('is asked for once however many want it, and again when nobody answered and somebody wants it still', async () => {
    setUp([]);
    answers.push(undefined, undefined, false);
    const first = attachments.attach(BY_FILTER, new Collector());
    attachments.attach(BY_FILTER, new Collector());
    const gone = attachments.attach({ by: 'filter', filter: 'gone' }, new Collector());
    first.detach();
    gone.detach();
    await turn();
    // Between two questions: it is asked again soon, for all.
    attachments.attach(BY_FILTER, new Collector());
    expect(wanted).toEqual(['/t/# t/#', '/gone gone']);
    await until(() => wanted.length === 3);
    expect(wanted).toEqual(['/t/# t/#', '/gone gone', '/t/# t/#']);
  });

  test('is not asked for again with a filter that nobody wants any more, though others want its name', async () => {
    setUp([]);
    answers.push(undefined, undefined, false);
    const first = attachments.attach({ by: 'name', name: 'q', filter: 'a' }, new Collector());
    attachments.attach({ by: 'name', name: 'q', filter: 'b' }, new Collector());
    first.detach();
    await until(() => wanted.length === 3);
    expect(wanted).toEqual(['q a', 'q b', 'q b']);
  });
});
