import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { NodeRole } from '@sluice/meta/node-info';
import { DEFAULT_QUEUE_SUBSYSTEM_CONFIG } from '@sluice/meta/queue-subsystem-config';
import { codeOf, nodeInfo, ok, PARTITIONS, spec, TestCluster, type TestNode, until } from '../support/test-cluster.ts';

const ALL: readonly NodeRole[] = ['gateway', 'store', 'coordinator'];

let cluster: TestCluster;
let node: TestNode;

beforeEach(async () => {
  cluster = await TestCluster.create();
});

afterEach(() => cluster.remove());

/** A node alone, with every partition. */
async function form(): Promise<void> {
  await cluster.found([ALL]);
  node = cluster.node(1);
  const { topology } = node;
  await until(() => topology.partition(PARTITIONS)?.replicas.length === 1, 'partitions are placed');
  await until(() => [1, 2, 3, 4].every((partition) => topology.leaderOf(partition) === 1), 'and led');
}

test('before a node has an image everything is refused, and says so', async () => {
  // The other founder never comes: there is no leader.
  cluster.founders = [nodeInfo(1, ALL), nodeInfo(2, ALL)];
  const { queues } = await cluster.boot(1);
  const outcomes = await Promise.all([
    queues.list(),
    queues.get('a'),
    queues.create(spec('a')),
    queues.update('a', {}),
    queues.remove('a'),
    queues.statistics(['a']),
    queues.purge('a'),
    queues.config(),
    queues.patchConfig({}),
  ]);
  expect(new Set(outcomes.map(codeOf))).toEqual(new Set(['NOT_READY']));
});

describe('a definition', () => {
  beforeEach(form);

  test('that was created is in the image of every node when the call answers', async () => {
    const created = ok(await node.queues.create(spec('a')));
    expect(node.topology.queueByName('a')).toEqual(created);
    expect(created).toMatchObject({ name: 'a', topicFilter: 'a/#' });
    expect(created.partitions).toHaveLength(1);
    expect(ok(await node.queues.get('a'))).toEqual(created);
    expect(ok(await node.queues.list())).toEqual([created]);
  });

  test('that only some nodes act on yet is stored, and that is what is said', async () => {
    node.acts = false;
    expect(codeOf(await node.queues.create(spec('a')))).toBe('TIMEOUT');
    node.acts = true;
    expect(codeOf(await node.queues.create(spec('a')))).toBe('ALREADY_EXISTS');
  });

  test('created twice at once succeeds once', async () => {
    const outcomes = await Promise.all([1, 2, 3].map(() => node.queues.create(spec('a'))));
    expect(outcomes.map(codeOf).sort()).toEqual(['ALREADY_EXISTS', 'ALREADY_EXISTS', 'ok']);
  });

  test('is changed field by field, also inside limits; two who change at once both do', async () => {
    const before = ok(await node.queues.create(spec('a')));
    const [one, other] = await Promise.all([
      node.queues.update('a', { dispatchStrategy: 'least_inflight', limits: { countMax: 5 } }),
      node.queues.update('a', { localMaxInflight: 3, limits: { bytesMax: 7 } }),
    ]);
    expect([codeOf(one), codeOf(other)]).toEqual(['ok', 'ok']);
    expect(node.topology.queueByName('a')).toEqual({
      ...before,
      version: before.version + 2,
      dispatchStrategy: 'least_inflight',
      localMaxInflight: 3,
      limits: { ...before.limits, countMax: 5, bytesMax: 7 },
    });
  });

  test('of a queue that is not there is neither changed nor removed', async () => {
    expect(codeOf(await node.queues.update('a', {}))).toBe('NOT_FOUND');
    expect(codeOf(await node.queues.remove('a'))).toBe('NOT_FOUND');
    expect(codeOf(await node.queues.get('a'))).toBe('NOT_FOUND');
    expect(codeOf(await node.queues.purge('a'))).toBe('NOT_FOUND');
  });

  test('removed and created again is another queue', async () => {
    const first = ok(await node.queues.create(spec('a')));
    ok(await node.queues.remove('a'));
    expect(node.topology.queueByName('a')).toBeUndefined();
    const second = ok(await node.queues.create(spec('a')));
    expect(second.queueId).not.toBe(first.queueId);
  });

  test('survives a restart, with the number of queue ids that were given', async () => {
    const a = ok(await node.queues.create(spec('a')));
    const gone = ok(await node.queues.create(spec('gone')));
    ok(await node.queues.remove('gone'));
    await cluster.kill(1);
    node = await cluster.boot(1);
    await node.watcher.imaged();
    expect(ok(await node.queues.list())).toEqual([a]);
    expect(ok(await node.queues.create(spec('b'))).queueId).toBeGreaterThan(gone.queueId);
  });
});

describe('the bounds of the subsystem', () => {
  beforeEach(form);

  test('the number of queues, raised at run time', async () => {
    ok(await node.queues.patchConfig({ queueCountMax: 1 }));
    ok(await node.queues.create(spec('a')));
    expect(codeOf(await node.queues.create(spec('b')))).toBe('MAX_QUEUE_COUNT_REACHED');
    ok(await node.queues.patchConfig({ queueCountMax: 2 }));
    ok(await node.queues.create(spec('b')));
  });

  test('is not switched off while queues exist; off, nothing is created', async () => {
    ok(await node.queues.create(spec('a')));
    expect(codeOf(await node.queues.patchConfig({ enable: false }))).toBe('BAD_REQUEST');
    ok(await node.queues.remove('a'));
    ok(await node.queues.patchConfig({ enable: false }));
    expect(codeOf(await node.queues.create(spec('a')))).toBe('NOT_ENABLED');
    expect(ok(await node.queues.config())).toEqual({ ...DEFAULT_QUEUE_SUBSYSTEM_CONFIG, enable: false });
  });

  test('as many partitions as the cluster has, and no more', async () => {
    expect(codeOf(await node.queues.create(spec('a', { partitionCount: PARTITIONS + 1 })))).toBe('BAD_REQUEST');
    expect(ok(await node.queues.create(spec('a', { partitionCount: 2 }))).partitions).toHaveLength(2);
  });
});

describe('figures and messages', () => {
  beforeEach(async () => {
    await form();
    ok(await node.queues.create(spec('a')));
  });

  test('come from the store; what it does not answer for is missing, not zero', async () => {
    expect(ok(await node.queues.statistics(['a', 'unknown'])).size).toBe(0);
    const queueId = node.topology.queueByName('a')?.queueId as number;
    const figures = { depth: 5, inflight: 2, depthBytes: 10, oldestAppendedAtMs: Date.now() - 2_000 };
    node.store = () => ({ type: 'statistics', queues: [{ queueId, ...ZEROES, ...figures }], elsewhere: [] });
    const all = ok(await node.queues.statistics(['a']));
    expect(all.get('a')).toMatchObject({ depthMessages: 5, readyMessages: 3, inflightMessages: 2, lagMessages: 5 });
    expect(all.get('a')?.lagSeconds).toBeGreaterThanOrEqual(2);
    expect(all.get('a')?.lagObjectiveSeconds).toBe(300);
    ok(await node.queues.update('a', { lagObjectiveMs: 30_000 }));
    expect(ok(await node.queues.statistics(['a'])).get('a')?.lagObjectiveSeconds).toBe(30);
  });

  test('a store that does not lead, or cannot read, is a refusal with its words', async () => {
    node.store = () => ({ type: 'refused', code: 'unavailable', message: 'entry 7 is damaged', leader: 0 });
    expect(await node.queues.peek('a', PEEK)).toMatchObject({ code: 'UNAVAILABLE', message: 'entry 7 is damaged' });
    node.store = () => ({ type: 'refused', code: 'queue-unknown', message: '', leader: 0 });
    expect(codeOf(await node.queues.purge('a'))).toBe('NOT_FOUND');
    node.store = () => ({ type: 'purged', count: 3 });
    expect(ok(await node.queues.purge('a'))).toBe(3);
  });

  test('a partition that does not hold the queue has no messages of it to show', async () => {
    const partition = node.topology.queueByName('a')?.partitions[0] as number;
    expect(codeOf(await node.queues.peek('a', { ...PEEK, partition: partition + 1 }))).toBe('BAD_REQUEST');
    node.store = () => ({ type: 'peeked', records: [], nextOffset: 0 });
    expect(ok(await node.queues.peek('a', { ...PEEK, partition }))).toEqual({ messages: [], nextOffset: null });
  });
});

describe('a queue over several partitions and stores', () => {
  /** What each store leads, and the leader it names for the others. */
  let leads: Map<number, number[]>;
  let queueId: number;

  beforeEach(async () => {
    await cluster.found([ALL, ALL, ALL, ['gateway']]);
    for (const each of cluster.nodes.values()) {
      const { topology } = each;
      await until(
        () => [1, 2, 3, 4].every((partition) => topology.leaderOf(partition) > 0 && topology.isAlive(3)),
        'leaders are known',
      );
    }
    node = cluster.node(4);
    ({ queueId } = ok(await node.queues.create(spec('wide', { partitionCount: 3 }))));
    leads = new Map([1, 2, 3].map((nodeId) => [nodeId, partitionsLedBy(nodeId)]));
    for (const nodeId of [1, 2, 3]) serveFigures(nodeId);
  });

  const partitionsLedBy = (nodeId: number): number[] =>
    [1, 2, 3].filter((partition) => node.topology.leaderOf(partition) === nodeId);

  function serveFigures(nodeId: number): void {
    cluster.node(nodeId).store = (request) => {
      const mine = leads.get(nodeId) as number[];
      const leaderOf = (partition: number): number =>
        [...leads].find(([, partitions]) => partitions.includes(partition))?.[0] ?? 0;
      if (request.type === 'statistics') {
        const queues = mine.map((partition) => ({
          ...ZEROES,
          queueId,
          partition,
          depth: 10 * partition,
          consumers: 2,
          tail: 100,
          oldestAppendedAtMs: 1_000 * partition,
        }));
        const elsewhere = [1, 2, 3]
          .filter((partition) => !mine.includes(partition))
          .map((partition) => ({ partition, leader: leaderOf(partition) }));
        return { type: 'statistics', queues, elsewhere };
      }
      if (request.type !== 'purge' && request.type !== 'peek') throw new Error('not asked in this test');
      const { partition } = request;
      if (!mine.includes(partition)) {
        return { type: 'refused', code: 'not-leader', message: 'not here', leader: leaderOf(partition) };
      }
      if (request.type === 'purge') return { type: 'purged', count: 10 * partition };
      return { type: 'peeked', records: [], nextOffset: 1_000 + partition };
    };
  }

  test('is summed up, with a row a partition', async () => {
    const figures = ok(await node.queues.statistics(['wide'])).get('wide');
    expect(figures).toMatchObject({ depthMessages: 60, consumers: 2, oldestPublishedAtMs: 1_000 });
    expect(
      figures?.partitions.map(({ partition, depthMessages, leader }) => [partition, depthMessages, leader]),
    ).toEqual([1, 2, 3].map((partition) => [partition, 10 * partition, `n${node.topology.leaderOf(partition)}`]));
    expect(ok(await node.queues.purge('wide'))).toBe(60);
    expect(ok(await node.queues.peek('wide', { ...PEEK, partition: 2 })).nextOffset).toBe(1_002);
  });

  test('is found where it is led by now, not only where this node believes', async () => {
    leads = new Map([
      [1, []],
      [2, []],
      [3, [1, 2, 3]],
    ]);
    const figures = ok(await node.queues.statistics(['wide'])).get('wide');
    expect(figures?.partitions.map(({ leader }) => leader)).toEqual(['n3', 'n3', 'n3']);
    expect(ok(await node.queues.purge('wide'))).toBe(60);
    expect(ok(await node.queues.peek('wide', { ...PEEK, partition: 1 })).nextOffset).toBe(1_001);
  });

  test('is missing in the figures while one of its partitions has no leader; the others are told', async () => {
    const narrow = ok(await node.queues.create(spec('narrow')));
    const partition = narrow.partitions[0] as number;
    const lost = [1, 2, 3].find(
      (each) => !partitionsLedBy(each).includes(partition) && partitionsLedBy(each).length > 0,
    );
    await cluster.kill(lost as number);
    const store = cluster.node(node.topology.leaderOf(partition)).store;
    cluster.node(node.topology.leaderOf(partition)).store = (request) => {
      const response = store(request);
      if (response.type !== 'statistics') return response;
      const queues = [...response.queues, { ...ZEROES, queueId: narrow.queueId, partition }];
      return { ...response, queues, elsewhere: response.elsewhere.filter((each) => each.partition !== partition) };
    };
    const figures = ok(await node.queues.statistics(['wide', 'narrow']));
    expect([...figures.keys()]).toEqual(['narrow']);
    expect(codeOf(await node.queues.purge('wide'))).toBe('NOT_READY');
  });
});

const PEEK = { limit: 10, fromOffset: null, partition: null, payloadBytesMax: 10 };

const ZEROES = {
  partition: 1,
  depth: 0,
  depthBytes: 0,
  inflight: 0,
  consumers: 0,
  keys: 0,
  head: 0,
  tail: 0,
  oldestAppendedAtMs: 0,
  publishedTotal: 0,
  publishedBytesTotal: 0,
  acceptedTotal: 0,
  returnedTotal: 0,
  refusedTotal: 0,
  expiredTotal: 0,
  overwrittenTotal: 0,
  droppedTotal: 0,
  purgedTotal: 0,
  redeliveredTotal: 0,
  deliveredTotal: 0,
  quietMs: 0,
  jobMs: 0,
};
