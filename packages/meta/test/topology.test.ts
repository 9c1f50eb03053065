import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { NodeInfo } from '../src/node-info.ts';
import type { QueueDefinition } from '../src/queue-definition.ts';
import { DEFAULT_QUEUE_SUBSYSTEM_CONFIG, QUEUE_SETTING_DEFAULTS } from '../src/queue-subsystem-config.ts';
import { Topology, type TopologyDelta, type TopologyImageInfo } from '../src/topology.ts';

function queue(queueId: number, name: string, topicFilter: string): QueueDefinition {
  return {
    ...QUEUE_SETTING_DEFAULTS,
    queueId,
    name,
    topicFilter,
    isLastValue: false,
    keyExpression: null,
    partitions: [1],
    version: queueId,
    createdAtMs: 0,
  };
}

const node = (nodeId: number, roles: NodeInfo['roles'], state: NodeInfo['state'] = 'active'): NodeInfo => ({
  nodeId,
  incarnation: `disk ${nodeId}`,
  name: `n${nodeId}`,
  address: `n${nodeId}:1`,
  roles,
  rack: '',
  version: '',
  mqttAddress: '',
  state,
});

function imageOf(epoch: number, queues: QueueDefinition[], over: Partial<TopologyImageInfo> = {}): TopologyImageInfo {
  return {
    epoch,
    clusterId: 'c',
    partitionCount: 2,
    replicationFactor: 2,
    nodes: [node(8, ['store']), node(7, ['store', 'coordinator']), node(6, ['coordinator'], 'gone')],
    partitions: [
      { partition: 1, replicas: [7, 8], preferredLeader: 7, bootstrap: false },
      { partition: 2, replicas: [8, 7], preferredLeader: 8, bootstrap: false },
    ],
    config: DEFAULT_QUEUE_SUBSYSTEM_CONFIG,
    queues,
    ...over,
  };
}

function deltaOf(epoch: number, over: Partial<TopologyDelta>): TopologyDelta {
  return { epoch, changed: [], removed: [], nodes: [], removedNodes: [], partitions: [], config: undefined, ...over };
}

function topologyOf(...queues: QueueDefinition[]): Topology {
  const topology = new Topology();
  topology.reset(imageOf(1, queues));
  return topology;
}

const names = (topology: Topology, topic: string): string[] => topology.queuesFor(topic).map(({ name }) => name);

describe('the image of the cluster', () => {
  test('finds every queue that wants a topic, oldest first', () => {
    const topology = topologyOf(queue(3, 'c', '#'), queue(1, 'a', 'jobs/+'), queue(2, 'b', 'jobs/x'));
    expect(names(topology, 'jobs/x')).toEqual(['a', 'b', 'c']);
    expect(names(topology, 'other')).toEqual(['c']);
    expect(names(topology, '$SYS/x')).toEqual([]);
  });

  test('what a topic matched is asked anew after a change', () => {
    const topology = topologyOf(queue(1, 'a', 'jobs'));
    expect(names(topology, 'jobs')).toEqual(['a']);
    topology.applyDelta(deltaOf(2, { changed: [queue(2, 'b', 'jobs')], removed: [1] }));
    expect(names(topology, 'jobs')).toEqual(['b']);
    expect(topology.queue(1)).toBeUndefined();
    expect(topology.queueByName('a')).toBeUndefined();
  });

  test('a filter means the queue named after it, or the oldest that has it', () => {
    const topology = topologyOf(queue(2, 'younger', 'jobs'), queue(1, 'older', 'jobs'));
    expect(topology.queueByFilter('jobs')?.name).toBe('older');
    topology.applyDelta(deltaOf(2, { changed: [queue(3, '/jobs', 'jobs')], removed: [] }));
    expect(topology.queueByFilter('jobs')?.name).toBe('/jobs');
    topology.applyDelta(deltaOf(3, { changed: [], removed: [1, 3] }));
    expect(topology.queueByFilter('jobs')?.name).toBe('younger');
    topology.applyDelta(deltaOf(4, { changed: [], removed: [2] }));
    expect(topology.queueByFilter('jobs')).toBeUndefined();
  });

  test('an image replaces everything', () => {
    const topology = topologyOf(queue(1, 'a', 'jobs'));
    topology.reset(imageOf(9, [queue(2, 'b', 'x')]));
    expect(topology.list().map(({ name }) => name)).toEqual(['b']);
    expect(names(topology, 'jobs')).toEqual([]);
  });

  test('a name such as __proto__ is a name', () => {
    const topology = topologyOf(queue(1, '__proto__', '__proto__/constructor'));
    expect(topology.queueByName('constructor')).toBeUndefined();
    expect(topology.queueByName('__proto__')?.queueId).toBe(1);
    expect(names(topology, '__proto__/constructor')).toEqual(['__proto__']);
  });
});

describe('nodes and places', () => {
  test('as the image says, then as deltas change them', () => {
    const topology = topologyOf();
    expect(topology.nodes().map(({ nodeId }) => nodeId)).toEqual([6, 7, 8]);
    expect(topology.coordinators().map(({ nodeId }) => nodeId)).toEqual([7]);
    expect(topology.replicasOf(2)).toEqual([8, 7]);
    expect(topology.replicasOf(3)).toEqual([]);
    expect(topology.replicationFactor).toBe(2);
    const before = topology.nodes();
    topology.applyDelta(deltaOf(2, { changed: [queue(1, 'a', 'jobs')] }));
    expect(topology.nodes()).toBe(before);
    topology.applyDelta(
      deltaOf(3, {
        nodes: [node(9, ['coordinator'])],
        removedNodes: [6],
        partitions: [{ partition: 2, replicas: [8, 9], preferredLeader: 8, bootstrap: false }],
        config: { ...DEFAULT_QUEUE_SUBSYSTEM_CONFIG, queueCountMax: 3 },
      }),
    );
    expect(topology.nodes().map(({ nodeId }) => nodeId)).toEqual([7, 8, 9]);
    expect(topology.coordinators().map(({ nodeId }) => nodeId)).toEqual([7, 9]);
    expect(topology.node(6)).toBeUndefined();
    expect(topology.partition(1)?.preferredLeader).toBe(7);
    expect(topology.replicasOf(2)).toEqual([8, 9]);
    expect(topology.config.queueCountMax).toBe(3);
  });
});

describe('who leads and who is alive', () => {
  const leader = (partition: number, nodeId: number, term: number) => ({ partition, nodeId, term });

  test('a leader gives way to one of a later term only, whoever says it', () => {
    const topology = topologyOf();
    expect(topology.leaderOf(1)).toBe(0);
    topology.applyLiveness({ leaders: [leader(1, 7, 3)], alive: [7, 8] });
    expect(topology.leaderOf(1)).toBe(7);
    expect(topology.noteLeader(1, 8, 4)).toBe(true);
    expect(topology.noteLeader(1, 8, 4)).toBe(false);
    // The coordinator has not heard of it yet.
    topology.applyLiveness({ leaders: [leader(1, 7, 3)], alive: [7, 8] });
    expect(topology.leaderOf(1)).toBe(8);
    expect(topology.leaderTermOf(1)).toBe(4);
    topology.applyLiveness({ leaders: [leader(1, 7, 5), leader(2, 8, 1)], alive: [7, 8] });
    expect([topology.leaderOf(1), topology.leaderOf(2), topology.leaderOf(3)]).toEqual([7, 8, 0]);
    expect(topology.noteLeader(3, 7, 1)).toBe(false);
    expect(topology.noteLeader(0, 7, 1)).toBe(false);
  });

  test('a dead node leads nothing, until a leader is known again', () => {
    const topology = topologyOf();
    topology.applyLiveness({ leaders: [leader(1, 7, 3), leader(2, 8, 3)], alive: [7, 8] });
    topology.applyLiveness({ leaders: [leader(2, 8, 3)], alive: [8] });
    expect(topology.isAlive(7)).toBe(false);
    expect([topology.leaderOf(1), topology.leaderOf(2)]).toEqual([0, 8]);
    topology.noteLeader(1, 8, 4);
    expect(topology.leaderOf(1)).toBe(8);
  });

  test('outlive an image of the same cluster, not one of another', () => {
    const topology = topologyOf();
    topology.applyLiveness({ leaders: [leader(1, 7, 3)], alive: [7] });
    topology.reset(imageOf(5, []));
    expect(topology.leaderOf(1)).toBe(7);
    topology.reset(imageOf(1, [], { clusterId: 'another' }));
    expect(topology.leaderOf(1)).toBe(0);
    expect(topology.isAlive(7)).toBe(false);
    expect(topology.epoch).toBe(1);
  });
});

test('an assignment gives way to one of a higher generation only', () => {
  const topology = topologyOf(queue(1, 'a', 'jobs'));
  expect(topology.assignmentOf(1)).toBeUndefined();
  topology.applyAssignments([{ queueId: 1, generation: 5, nodes: [{ nodeId: 7, partitions: [1] }] }]);
  topology.applyAssignments([{ queueId: 1, generation: 4, nodes: [] }]);
  expect(topology.assignmentOf(1)?.nodes).toEqual([{ nodeId: 7, partitions: [1] }]);
  topology.applyAssignments([{ queueId: 9, generation: 5, nodes: [] }]);
  expect(topology.assignmentOf(9)).toBeUndefined();
  topology.applyDelta(deltaOf(2, { removed: [1] }));
  expect(topology.assignmentOf(1)).toBeUndefined();
});

describe('what changed since an epoch', () => {
  test('is known while it is not too much', () => {
    const topology = topologyOf(queue(1, 'a', 'jobs'));
    topology.applyDelta(deltaOf(2, { changed: [queue(2, 'b', 'x')] }));
    topology.applyDelta(deltaOf(3, { nodes: [node(9, ['store'])] }));
    topology.applyDelta(deltaOf(4, { removed: [1] }));
    expect(topology.queuesChangedSince(1)).toEqual([1, 2]);
    expect(topology.queuesChangedSince(2)).toEqual([1]);
    expect(topology.queuesChangedSince(4)).toEqual([]);
    expect(topology.queuesChangedSince(0)).toBeUndefined();
    expect(topology.queuesChangedSince(5)).toBeUndefined();
    for (let epoch = 5; epoch < 5 + Topology.CHANGES_MAX; epoch++) {
      topology.applyDelta(deltaOf(epoch, { changed: [queue(2, 'b', 'x')] }));
    }
    expect(topology.queuesChangedSince(2)).toBeUndefined();
    expect(topology.queuesChangedSince(topology.epoch - 3)).toEqual([2, 2, 2]);
  });

  test('also over an image that came in between', () => {
    const topology = topologyOf(queue(1, 'a', 'jobs'), queue(2, 'b', 'x'));
    topology.reset(imageOf(9, [queue(1, 'a', 'jobs'), queue(3, 'c', 'y')]));
    expect([...(topology.queuesChangedSince(1) ?? [])].sort()).toEqual([2, 3]);
  });
});

test('any sequence of changes leaves the image that its queues alone would make', () => {
  const filters = ['a', 'b', 'a/+', '#', '+/x', 'a/x', 'b/#'];
  const topics = ['a', 'b', 'a/x', 'b/x', 'a/y', 'c'];
  const step = fc.oneof(
    fc.record({
      do: fc.constant('put' as const),
      id: fc.integer({ min: 1, max: 8 }),
      filter: fc.nat(filters.length - 1),
    }),
    fc.record({ do: fc.constant('remove' as const), id: fc.integer({ min: 1, max: 8 }), filter: fc.constant(0) }),
    fc.record({ do: fc.constant('image' as const), id: fc.integer({ min: 1, max: 8 }), filter: fc.constant(0) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const topology = topologyOf();
      const model = new Map<number, QueueDefinition>();
      let epoch = 1;
      for (const { do: action, id, filter } of steps) {
        epoch++;
        const before = topology.list();
        if (action === 'put') {
          // A queue keeps its filter for life.
          const topicFilter = model.get(id)?.topicFilter ?? (filters[filter] as string);
          const definition = { ...queue(id, `q${id}`, topicFilter), version: epoch };
          model.set(id, definition);
          topology.applyDelta(deltaOf(epoch, { changed: [definition] }));
          expect(topology.list()).not.toBe(before);
        } else if (action === 'remove') {
          model.delete(id);
          topology.applyDelta(deltaOf(epoch, { removed: [id] }));
        } else {
          model.delete(id);
          topology.reset(imageOf(epoch, [...model.values()].reverse()));
        }
        const fresh = topologyOf(...model.values());
        expect(topology.list()).toEqual([...model.values()].sort((a, b) => a.queueId - b.queueId));
        expect(topology.newestQueueId).toBe(Math.max(0, ...model.keys()));
        for (const topic of topics) expect(topology.queuesFor(topic)).toEqual(fresh.queuesFor(topic));
        for (const each of filters) expect(topology.queueByFilter(each)).toEqual(fresh.queueByFilter(each));
      }
    }),
    { numRuns: 200, seed: 1 },
  );
});
