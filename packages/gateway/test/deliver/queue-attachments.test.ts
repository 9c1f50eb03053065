import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { systemClock } from '@sluice/common/clock';
import { SeededPrng } from '@sluice/common/prng';
import type { QueueDefinition } from '@sluice/meta/queue-definition';
import { DEFAULT_QUEUE_SUBSYSTEM_CONFIG } from '@sluice/meta/queue-subsystem-config';
import { Topology } from '@sluice/meta/topology';
import { recordPositions } from '@sluice/queue/record/record-batch';
import { RecordBatchBuilder } from '@sluice/queue/record/record-batch-builder';
import { EncodedRecord } from '@sluice/queue/record/record-view';
import type { DeliverItem } from '@sluice/rpc/contract/consume';
import { type ConsumerSink, PartitionConsumer } from '@sluice/store-client/partition-consumer';
import { RouteTable } from '@sluice/store-client/route-table';
import { LeaderWaiting } from '../../src/deliver/leader-waiting.ts';
import { AttachedQueue } from '../../src/deliver/queue-attachment.ts';
import { QueueAttachments } from '../../src/deliver/queue-attachments.ts';
import type { QueueConsumer, QueueDelivery, QueueReference } from '../../src/deliver/queue-subscriptions.ts';
import { ScriptedStores } from '../doubles/scripted-stores.ts';

const DEFINITION: QueueDefinition = {
  queueId: 1,
  name: 'q',
  topicFilter: 't/#',
  isLastValue: false,
  keyExpression: null,
  dispatchStrategy: 'random',
  dataRetentionMs: 1000,
  limits: { countMax: null, bytesMax: null, overflow: 'refuse' },
  localMaxInflight: 10,
  redispatchIntervalMs: 100,
  consumerMaxInactiveMs: 0,
  pingIntervalMs: 0,
  busySessionRetryIntervalMs: 0,
  streamMaxBufferSize: 0,
  streamMaxUnacked: 0,
  consumerPersistenceIntervalMs: 0,
  partitions: [1],
  version: 1,
  createdAtMs: 0,
};

class Collector implements QueueConsumer {
  readonly clientId = 'c';
  window = 5;
  readonly deliveries: QueueDelivery[] = [];
  /** Topic filters of queues it may not consume from. */
  readonly forbidden = new Set<string>();
  mayConsume(topicFilter: string): boolean {
    return !this.forbidden.has(topicFilter);
  }
  deliver(deliveries: readonly QueueDelivery[]): void {
    this.deliveries.push(...deliveries);
  }
}

class Nobody implements ConsumerSink {
  delivered(): void {}
  waiting(): void {}
  lost(): void {}
  dismissed(): void {}
}

let attachments: QueueAttachments;
let consumers: PartitionConsumer;
let routes: RouteTable;
let topology: Topology;
let stores: ScriptedStores;
let wanted: string[];
/** Of the coordinator; undefined: none answers. */
let answers: (boolean | undefined)[];

/** Node 1 leads every partition. */
function setUp(queues: QueueDefinition[]) {
  topology = new Topology();
  topology.reset({
    epoch: 1,
    clusterId: 'c',
    partitionCount: 4,
    replicationFactor: 3,
    nodes: [],
    partitions: [1, 2, 3, 4].map((partition) => ({
      partition,
      replicas: [1, 2, 3],
      preferredLeader: 0,
      bootstrap: false,
    })),
    config: DEFAULT_QUEUE_SUBSYSTEM_CONFIG,
    queues,
  });
  routes = new RouteTable(topology);
  for (const partition of [1, 2, 3, 4]) routes.announced(partition, 1, 1);
  stores = new ScriptedStores();
  consumers = new PartitionConsumer({ topology, routes, transport: stores, clock: systemClock });
  wanted = [];
  answers = [];
  attachments = new QueueAttachments({
    nodeId: 9,
    topology,
    routes,
    consumers,
    wanted: async (name, topicFilter) => {
      wanted.push(`${name} ${topicFilter}`);
      return answers.shift();
    },
  });
  const change = (changed: QueueDefinition[], removed: number[] = []) => {
    const epoch = topology.epoch + 1;
    topology.applyDelta({ epoch, changed, removed, nodes: [], removedNodes: [], partitions: [], config: undefined });
    attachments.topologyChanged();
  };
  return { store: stores.of(1), change };
}

afterEach(() => {
  jest.useRealTimers();
  attachments.close();
  consumers.close();
});

const turn = () => new Promise((resolve) => setImmediate(resolve));
const BY_FILTER: QueueReference = { by: 'filter', filter: 't/#' };

async function until(condition: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 5_000;
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error('not reached in time');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

function encoded(text: string): Uint8Array {
  const builder = new RecordBatchBuilder();
  builder.add({
    targets: [{ queueId: 1, key: undefined }],
    topic: 't/1',
    payload: Buffer.from(text),
    qos: 1,
    retain: false,
    publisher: 'p',
    publishedAtMs: 1,
    expiresAtMs: 0,
    properties: undefined,
  });
  const batch = builder.finish();
  return new EncodedRecord(batch, recordPositions(batch, 1, [])[0] as number).encoded;
}

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
    answers = [undefined, undefined, false];
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
    answers = [undefined, undefined, false];
    const first = attachments.attach({ by: 'name', name: 'q', filter: 'a' }, new Collector());
    attachments.attach({ by: 'name', name: 'q', filter: 'b' }, new Collector());
    first.detach();
    await until(() => wanted.length === 3);
    expect(wanted).toEqual(['q a', 'q b', 'q b']);
  });
});

/** The channel to this store is open, as to all stores of the image. */
function opened(nodeId: number) {
  consumers.detach(
    consumers.attach({
      nodeId,
      partition: 4,
      queueId: 99,
      window: 0,
      clientId: '',
      generation: 0,
      held: [],
      sink: new Nobody(),
    }),
  );
  stores.of(nodeId).requests.length = 0;
  return stores.of(nodeId);
}

const item = (offset: number): DeliverItem => ({ offset, rowBase: 0, deliveryCount: 1, record: encoded('x') });

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
