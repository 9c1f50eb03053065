import { describe, expect, test } from '@jest/globals';
import type { QueueDefinition } from '@sluice/meta/queue-definition';
import type { QueueDelivery } from '../../src/deliver/queue-subscriptions.ts';
import {
  attachments,
  BY_FILTER,
  Collector,
  DEFINITION,
  item,
  routes,
  setUp,
  stores,
  topology,
  turn,
} from '../doubles/attachments-scene.ts';

describe('a queue over several partitions', () => {
  const SPREAD: QueueDefinition = { ...DEFINITION, partitions: [1, 2, 3, 4], localMaxInflight: 8 };
  const attachedTo = (store = stores.of(1)): number[] => store.of('attach').map(({ partition }) => partition);

  class Large extends Collector {
    override window = 20;
  }

  test('shares the window, and deliveries say where they come from and are settled there', async () => {
    const { store } = setUp([SPREAD]);
    const collector = new Large();
    const attachment = attachments.attach(BY_FILTER, collector);
    expect(store.of('attach').map(({ partition, window }) => [partition, window])).toEqual([
      [1, 2],
      [2, 2],
      [3, 2],
      [4, 2],
    ]);
    store.deliver(2, item(7));
    store.deliver(3, item(7));
    expect(collector.deliveries.map(({ partition }) => partition)).toEqual([2, 3]);
    attachment.accept(collector.deliveries[1] as QueueDelivery);
    await turn();
    expect(store.of('settle')).toMatchObject([{ items: [{ consumerId: store.consumerOf(3), offset: 7 }] }]);
  });

  test('moves credit to where work waits, once the others have answered', () => {
    const { store } = setUp([{ ...SPREAD, localMaxInflight: 12 }]);
    attachments.attach(BY_FILTER, new Large());
    store.waiting(2, true);
    expect(store.of('window').map(({ window }) => window)).toEqual([1, 1, 1]);
    store.waiting(1, false);
    store.waiting(3, false);
    store.waiting(4, false);
    store.waiting(2, true);
    expect(store.of('window').slice(3)).toEqual(
      [5, 9].map((window) => ({ type: 'window', consumerId: store.consumerOf(2), window })),
    );
  });

  test('gives the credit of a partition without a leader to the others, and back', () => {
    const { store } = setUp([SPREAD]);
    attachments.attach(BY_FILTER, new Large());
    store.refuse(4, 0);
    expect(store.of('window').map(({ window }) => window)).toEqual([3, 3]);
    routes.announced(4, 2, 2);
    expect(stores.of(2).of('attach')).toMatchObject([{ partition: 4, window: 0 }]);
    for (const partition of [1, 2, 3]) {
      store.waiting(partition, false);
      store.waiting(partition, false);
    }
    stores.of(2).waiting(4, false);
    expect(stores.of(2).of('window').at(-1)).toMatchObject({ window: 2 });
  });

  test('is drawn from as assigned to this gateway, and otherwise from everywhere', () => {
    const { store } = setUp([SPREAD]);
    const assign = (generation: number, nodeId: number, partitions: number[]): void => {
      topology.applyAssignments([{ queueId: 1, generation, nodes: [{ nodeId, partitions }] }]);
      attachments.topologyChanged();
    };
    attachments.attach(BY_FILTER, new Large());
    expect(attachedTo()).toEqual([1, 2, 3, 4]);
    assign(5, 9, [2, 3]);
    expect(store.of('detach')).toHaveLength(2);
    attachments.attach(BY_FILTER, new Large());
    expect(attachedTo().slice(4)).toEqual([2, 3]);
    expect(store.of('attach').at(-1)).toMatchObject({ generation: 5, window: 4 });
    assign(6, 8, [1]);
    attachments.attach(BY_FILTER, new Large());
    expect(attachedTo().slice(-4)).toEqual([1, 2, 3, 4]);
  });

  test('leaves a partition that is assigned away when its client has answered what it holds, and not before', async () => {
    const { store } = setUp([SPREAD]);
    const collector = new Large();
    const attachment = attachments.attach(BY_FILTER, collector);
    store.deliver(1, item(0));
    topology.applyAssignments([{ queueId: 1, generation: 5, nodes: [{ nodeId: 9, partitions: [2, 3] }] }]);
    attachments.topologyChanged();
    const [first, , , fourth] = store.of('attach').map(({ consumerId }) => consumerId);
    expect(store.of('detach').map(({ consumerId }) => consumerId)).toEqual([fourth]);
    expect(store.of('window')[0]).toEqual({ type: 'window', consumerId: first, window: 0 });
    // Its leader changes meanwhile: the job stays where it is, and nothing is added to it.
    routes.announced(1, 2, 2);
    expect(stores.of(2).of('attach')).toMatchObject([{ partition: 1, window: 0, held: [{ offset: 0 }] }]);
    attachment.accept(collector.deliveries[0] as QueueDelivery);
    expect(stores.of(2).requests.slice(1)).toMatchObject([
      { type: 'settle', items: [{ offset: 0, accepted: true }] },
      { type: 'detach' },
    ]);
  });

  test('waits where the store has seen a newer assignment, until this gateway has it', () => {
    const { store } = setUp([SPREAD]);
    attachments.attach(BY_FILTER, new Large());
    store.receive({ type: 'detached', consumerId: store.consumerOf(2), reason: 'fenced', leader: 1 });
    attachments.topologyChanged();
    expect(attachedTo()).toEqual([1, 2, 3, 4]);
    topology.applyAssignments([{ queueId: 1, generation: 3, nodes: [{ nodeId: 9, partitions: [1, 2] }] }]);
    attachments.topologyChanged();
    expect(attachedTo().slice(4)).toEqual([2]);
    expect(store.of('attach').at(-1)).toMatchObject({ generation: 3 });
    // One that was attached before the assignment came is fenced and knows better by now.
    store.receive({ type: 'detached', consumerId: store.consumerOf(1), reason: 'fenced', leader: 1 });
    expect(attachedTo().slice(4)).toEqual([2, 1]);
  });

  test('is reported with its consumers and their windows; queues of one partition are not', () => {
    setUp([SPREAD, { ...DEFINITION, queueId: 2, name: 'one', topicFilter: 'one' }]);
    attachments.attach(BY_FILTER, new Collector());
    attachments.attach(BY_FILTER, new Large());
    attachments.attach({ by: 'filter', filter: 'one' }, new Collector());
    expect(attachments.consumersReport()).toEqual([{ queueId: 1, consumers: 2, windowTotal: 13 }]);
  });
});
