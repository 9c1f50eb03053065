import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '@sluice/common/clock';
import type { NodeInfo, NodeRegistration, NodeRole } from '@sluice/meta/node-info';
import type { TopologyFeedRequest, TopologyUpdate } from '@sluice/rpc/contract/topology-feed';
import { codeOf, nodeInfo, ok, PARTITIONS, spec, TestCluster, type TestNode, until } from './support/test-cluster.ts';

const ALL: readonly NodeRole[] = ['gateway', 'store', 'coordinator'];

let cluster: TestCluster;

beforeEach(async () => {
  cluster = await TestCluster.create();
});

afterEach(() => cluster.remove());

function registration(name: string, over: Partial<NodeRegistration> = {}): NodeRegistration {
  const { nodeId: _id, state: _state, ...rest } = nodeInfo(9, ALL);
  return { ...rest, name, incarnation: `disk of ${name}`, ...over };
}

async function placed(among: Iterable<TestNode>): Promise<void> {
  for (const { nodeId, topology } of among) {
    await until(
      () =>
        topology.epoch > 0 &&
        [1, 2, 3, 4].every((partition) => {
          const place = topology.partition(partition);
          return place !== undefined && place.replicas.length === 3 && !place.bootstrap;
        }),
      `node ${nodeId} knows the places of all partitions`,
    );
  }
}

test('the first store has its partitions when it registers: nothing waits until somebody looks at the clock', async () => {
  await cluster.found([['coordinator']]);
  const { nodeId, coordinator, watcher, metadata } = await cluster.leader();
  coordinator?.close();
  await until(() => watcher.coordinator === nodeId, 'its report is there');
  const { nodeId: _id, state: _state, ...known } = cluster.founders[0] as NodeInfo;
  await metadata.execute({ kind: 'register-node', node: { ...known, roles: ALL }, nodeId });
  await until(
    () => coordinator?.machine.partitions().every(({ replicas }) => replicas.join() === '1') === true,
    'every partition is placed',
  );
});

test('a gateway that joins a coordinator of long standing is not missed before it could say a word', async () => {
  cluster.replaceAfterMs = 3_000;
  await cluster.found([['store', 'coordinator']]);
  const { coordinator, metadata } = await cluster.leader();
  const sinceMs = systemClock.monotonicMs();
  await until(() => systemClock.monotonicMs() - sinceMs > cluster.replaceAfterMs, 'it has led for long');
  expect(await coordinator?.register(registration('g', { roles: ['gateway'] }))).toMatchObject({ nodeId: 2 });
  // Behind whatever the coordinator decided because of it.
  const { nodeId: _id, state: _state, ...known } = cluster.founders[0] as NodeInfo;
  for (const rack of ['a', 'b']) await metadata.execute({ kind: 'register-node', node: { ...known, rack }, nodeId: 1 });
  expect(coordinator?.machine.nodes().find(({ nodeId }) => nodeId === 2)?.state).toBe('active');
});

describe('three coordinators', () => {
  beforeEach(async () => {
    await cluster.found([ALL, ALL, ALL, ['gateway']]);
    await placed(cluster.nodes.values());
  });

  test('found a cluster: every node has the image, places, leaders and who lives', async () => {
    for (const { topology } of cluster.nodes.values()) {
      expect(topology.clusterId).toBe('test-cluster');
      expect(topology.nodes()).toEqual(cluster.founders);
      await until(() => [1, 2, 3, 4].every((partition) => topology.leaderOf(partition) > 0), 'leaders are known');
      await until(() => [1, 2, 3, 4].every((nodeId) => topology.isAlive(nodeId)), 'all live');
    }
    const leads = [1, 2, 3].map(
      (nodeId) => [1, 2, 3, 4].filter((partition) => cluster.node(1).topology.leaderOf(partition) === nodeId).length,
    );
    expect(leads.sort()).toEqual([1, 1, 2]);
  });

  test('a queue that was created through any node is in the image of every node', async () => {
    for (const node of cluster.nodes.values()) {
      const created = ok(await node.queues.create(spec(`by-${node.nodeId}`, { partitionCount: PARTITIONS })));
      expect(created.partitions).toHaveLength(PARTITIONS);
      for (const { topology } of cluster.nodes.values()) expect(topology.queueByName(created.name)).toEqual(created);
    }
    const outcomes = await Promise.all([...cluster.nodes.values()].map(({ queues }) => queues.create(spec('one'))));
    expect(outcomes.map(codeOf).sort()).toEqual(['ALREADY_EXISTS', 'ALREADY_EXISTS', 'ALREADY_EXISTS', 'ok']);
  });

  test('the leading one dies: another leads, nodes find it, keep their image, and queues are created', async () => {
    ok(await cluster.node(4).queues.create(spec('before')));
    const { nodeId } = await cluster.leader();
    const images = new Map([...cluster.nodes.values()].map((node) => [node.nodeId, node.topology.list()]));
    await cluster.kill(nodeId);
    const after = ok(await cluster.node(4).queues.create(spec('after')));
    for (const node of cluster.nodes.values()) {
      await until(() => node.topology.queueByName('after') !== undefined, 'the queue is everywhere');
      // Only the new queue was sent: the former definition is the same object.
      expect(node.topology.list()[0]).toBe(images.get(node.nodeId)?.[0]);
    }
    expect(after.queueId).toBe(2);
    await until(() => !cluster.node(4).topology.isAlive(nodeId), 'its death is known');
    await until(
      () =>
        [1, 2, 3, 4].every((partition) => cluster.node(4).topology.partition(partition)?.preferredLeader !== nodeId),
      'the dead lead nothing',
    );
    expect(cluster.node(4).topology.replicasOf(1)).toHaveLength(3);
  });

  test('without a majority of coordinators the image stays; the last one sends who asks to each of the others', async () => {
    ok(await cluster.node(4).queues.create(spec('before')));
    const { topology, queues } = cluster.node(4);
    const { epoch } = topology;
    for (const nodeId of [1, 2]) await cluster.kill(nodeId);
    await until(() => cluster.node(3).coordinator?.leader === 0, 'nobody leads');
    const channel = cluster.network.node(4).open<TopologyFeedRequest, TopologyUpdate>(3, 'topology');
    const updates: TopologyUpdate[] = [];
    channel.onMessage((update) => updates.push(update));
    for (let i = 0; i < 4; i++) channel.send({ type: 'watch', clusterId: topology.clusterId, epoch });
    await until(() => updates.length === 4, 'it was answered');
    channel.close();
    expect(updates).toContainEqual({ type: 'elsewhere', leader: 1, address: 'n1:7000', name: 'n1' });
    expect(updates).toContainEqual({ type: 'elsewhere', leader: 2, address: 'n2:7000', name: 'n2' });
    await cluster.kill(3);
    expect(topology.epoch).toBe(epoch);
    expect(ok(await queues.get('before')).name).toBe('before');
  });

  test('a leader that is cut off makes nobody go back, and follows when it is back', async () => {
    const old = await cluster.leader();
    const others = [1, 2, 3].filter((nodeId) => nodeId !== old.nodeId);
    for (const other of [...others, 4]) {
      cluster.network.cut(old.nodeId, other);
      cluster.network.cut(other, old.nodeId);
    }
    // Whether the patience ends before the silence does is a matter of moments.
    expect(['ok', 'TIMEOUT']).toContain(codeOf(await cluster.node(4).queues.create(spec('meanwhile'))));
    await until(() => cluster.node(4).topology.queueByName('meanwhile') !== undefined, 'the others know it');
    const created = ok(await cluster.node(4).queues.get('meanwhile'));
    expect(old.topology.queueByName('meanwhile')).toBeUndefined();
    for (const other of [...others, 4]) {
      cluster.network.heal(old.nodeId, other);
      cluster.network.heal(other, old.nodeId);
    }
    await until(() => old.topology.queueByName('meanwhile') !== undefined, 'it follows');
    expect(old.topology.queueByName('meanwhile')).toEqual(created);
  });

  test('a node that joins gets an id; the same disk again the same; another disk under its name takes its place', async () => {
    const leader = await cluster.leader();
    const register = (node: NodeRegistration) => leader.coordinator?.register(node);
    expect(await register(registration('n5'))).toMatchObject({
      type: 'registered',
      clusterId: 'test-cluster',
      nodeId: 5,
      coordinators: [1, 2, 3]
        .map((nodeId) => ({ nodeId, address: `n${nodeId}:7000` }))
        .concat({ nodeId: 5, address: 'n9:7000' }),
    });
    expect(await register(registration('n5', { version: '2' }))).toMatchObject({ nodeId: 5 });
    expect(await register(registration('n5', { incarnation: 'new disk' }))).toMatchObject({ nodeId: 6 });
    expect(await register(registration('n5'))).toMatchObject({ type: 'refused', code: 'NODE_GONE' });
    const follower = [1, 2, 3].map((nodeId) => cluster.node(nodeId)).find((node) => node !== leader);
    expect(await follower?.coordinator?.register(registration('n7'))).toEqual({
      type: 'elsewhere',
      address: `n${leader.nodeId}:7000`,
    });
  });

  test('a node that lost its disk is replaced at once, as a store and as a coordinator', async () => {
    const leader = await cluster.leader();
    const lost = [1, 2, 3].find((nodeId) => nodeId !== leader.nodeId) as number;
    await cluster.kill(lost);
    const answer = await leader.coordinator?.register(registration(`n${lost}`, { incarnation: 'new disk' }));
    expect(answer).toMatchObject({ type: 'registered', nodeId: 5 });
    await cluster.boot(5);
    const { topology } = cluster.node(4);
    await until(
      () => [1, 2, 3, 4].every((partition) => topology.replicasOf(partition).includes(5)),
      'its successor has its places',
    );
    expect([1, 2, 3, 4].some((partition) => topology.replicasOf(partition).includes(lost))).toBe(false);
    const votersOf = (): string => [...(leader.host?.status(0)?.membership.voters ?? [])].sort().join();
    await until(() => votersOf() === [1, 2, 3, 5].filter((nodeId) => nodeId !== lost).join(), 'it votes');
    expect(cluster.node(5).coordinator?.machine.nodes()).toHaveLength(5);
  });

  test('a drained node leads nothing; a node that leaves is gone once nothing is on it', async () => {
    const { topology, metadata } = cluster.node(4);
    await metadata.execute({ kind: 'set-node-state', nodeId: 2, state: 'draining' });
    await until(
      () => [1, 2, 3, 4].every((partition) => topology.partition(partition)?.preferredLeader !== 2),
      'the drained leads nothing',
    );
    expect(topology.replicasOf(1)).toContain(2);
    await metadata.execute({ kind: 'set-replication-factor', replicationFactor: 2 });
    await metadata.execute({ kind: 'set-node-state', nodeId: 2, state: 'leaving' });
    await until(() => topology.node(2)?.state === 'gone', 'it has left');
    expect([1, 2, 3, 4].every((partition) => topology.replicasOf(partition).join() === '1,3')).toBe(true);
    expect(topology.replicationFactor).toBe(2);
  });

  test('a replica that cannot be trusted goes out, and in again when its node has wiped it', async () => {
    const { topology } = cluster.node(4);
    const node = cluster.node(2);
    node.held = true;
    node.impaired = [1];
    node.watcher.reportSoon();
    await until(() => !topology.replicasOf(1).includes(2), 'it is out');
    await new Promise((resolve) => setImmediate(resolve));
    expect(topology.replicasOf(1)).toHaveLength(2);
    node.impaired = [];
    node.replicas.delete(1);
    node.watcher.reportSoon();
    await until(() => topology.replicasOf(1).includes(2), 'it is in again');
  });

  test('a coordinator whose metadata cannot be trusted gets it anew from the others', async () => {
    ok(await cluster.node(4).queues.create(spec('kept')));
    const leader = await cluster.leader();
    const broken = [1, 2, 3].map((nodeId) => cluster.node(nodeId)).find((node) => node !== leader) as TestNode;
    const sizes = new Set<number>();
    broken.host?.markImpaired(0, new Error('a damaged entry'));
    await until(() => {
      sizes.add(leader.host?.status(0)?.committedMembership.voters.length ?? 0);
      return broken.host?.impaired().length === 0 && broken.coordinator?.machine.queueByName('kept') !== undefined;
    }, 'it has the metadata again');
    await until(() => leader.host?.status(0)?.committedMembership.voters.length === 3, 'it votes again');
    expect(sizes).toContain(2);
  });

  test('a dead node delays a change for a moment and no longer; a slow one is said to be slow', async () => {
    await cluster.kill(await cluster.leader().then(({ nodeId }) => (nodeId === 3 ? 2 : 3)));
    // Who waits for it until nobody can be waited for any more is told so, as below.
    ok(await cluster.node(4).queues.create(spec('a')));
    cluster.node(4).acts = false;
    expect(codeOf(await cluster.node(4).queues.create(spec('b')))).toBe('TIMEOUT');
  });

  test('who draws from where is told of queues over several partitions, under growing generations', async () => {
    const { queueId } = ok(await cluster.node(4).queues.create(spec('wide', { partitionCount: 3 })));
    const gateway = cluster.node(4);
    gateway.consumers = [{ queueId, consumers: 3, windowTotal: 30 }];
    gateway.watcher.reportSoon();
    await until(() => gateway.topology.assignmentOf(queueId) !== undefined, 'an assignment came');
    const first = gateway.topology.assignmentOf(queueId);
    expect(first?.nodes).toEqual([{ nodeId: 4, partitions: gateway.topology.queue(queueId)?.partitions }]);
    cluster.node(1).consumers = [{ queueId, consumers: 1, windowTotal: 10 }];
    await until(() => gateway.topology.assignmentOf(queueId)?.nodes.length === 2, 'both draw');
    const { nodeId } = await cluster.leader();
    const before = gateway.topology.assignmentOf(queueId)?.generation ?? 0;
    expect(before).toBeGreaterThan(first?.generation ?? 0);
    if (nodeId === 1) return;
    await cluster.kill(nodeId);
    await until(() => (gateway.topology.assignmentOf(queueId)?.generation ?? 0) > before, 'the next one says so anew');
  });
});

test('coordinators that join are taken in two at a time, so that their number stays odd', async () => {
  await cluster.found([ALL]);
  const first = await cluster.leader();
  for (const n of [2, 3]) {
    expect(await first.coordinator?.register(registration(`n${n}`))).toMatchObject({ nodeId: n });
    await cluster.boot(n);
    if (n === 2) expect(first.host?.status(0)?.membership.voters).toEqual([1]);
  }
  await until(() => {
    const membership = first.host?.status(0)?.committedMembership;
    return membership?.voters.length === 3 && membership.votersOutgoing.length === 0;
  }, 'three vote');
  await cluster.kill(1);
  expect((await cluster.leader()).nodeId).toBeGreaterThan(1);
});
