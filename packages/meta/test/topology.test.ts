import { describe, expect, test } from '@jest/globals';
import type { QueueDefinition } from '../src/queue-definition.ts';
import { QUEUE_SETTING_DEFAULTS } from '../src/queue-subsystem-config.ts';
import { Topology } from '../src/topology.ts';

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

function topologyOf(...queues: QueueDefinition[]): Topology {
  const topology = new Topology();
  topology.reset({ epoch: 1, clusterId: 'c', partitionCount: 2, leaders: [7, 8], queues });
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
    topology.applyDelta({ epoch: 2, changed: [queue(2, 'b', 'jobs')], removed: [1] });
    expect(names(topology, 'jobs')).toEqual(['b']);
    expect(topology.queue(1)).toBeUndefined();
    expect(topology.queueByName('a')).toBeUndefined();
  });

  test('a filter means the queue named after it, or the oldest that has it', () => {
    const topology = topologyOf(queue(2, 'younger', 'jobs'), queue(1, 'older', 'jobs'));
    expect(topology.queueByFilter('jobs')?.name).toBe('older');
    topology.applyDelta({ epoch: 2, changed: [queue(3, '/jobs', 'jobs')], removed: [] });
    expect(topology.queueByFilter('jobs')?.name).toBe('/jobs');
    topology.applyDelta({ epoch: 3, changed: [], removed: [1, 3] });
    expect(topology.queueByFilter('jobs')?.name).toBe('younger');
    topology.applyDelta({ epoch: 4, changed: [], removed: [2] });
    expect(topology.queueByFilter('jobs')).toBeUndefined();
  });

  test('an image replaces everything', () => {
    const topology = topologyOf(queue(1, 'a', 'jobs'));
    topology.reset({ epoch: 9, clusterId: 'c', partitionCount: 2, leaders: [7, 8], queues: [queue(2, 'b', 'x')] });
    expect(topology.list().map(({ name }) => name)).toEqual(['b']);
    expect(names(topology, 'jobs')).toEqual([]);
    expect(topology.leaderOf(2)).toBe(8);
    expect(topology.leaderOf(3)).toBe(0);
  });

  test('a name such as __proto__ is a name', () => {
    const topology = topologyOf(queue(1, '__proto__', '__proto__/constructor'));
    expect(topology.queueByName('constructor')).toBeUndefined();
    expect(topology.queueByName('__proto__')?.queueId).toBe(1);
    expect(names(topology, '__proto__/constructor')).toEqual(['__proto__']);
  });
});
