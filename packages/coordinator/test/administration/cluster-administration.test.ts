import { beforeEach, describe, expect, test } from '@jest/globals';
import type { NodeInfo } from '@sluice/meta/node-info';
import { DEFAULT_QUEUE_SUBSYSTEM_CONFIG } from '@sluice/meta/queue-subsystem-config';
import { Topology } from '@sluice/meta/topology';
import { ClusterAdministration } from '../../src/administration/cluster-administration.ts';
import { nodeInfo } from '../support/test-cluster.ts';

let topology: Topology;
let executed: string[];
let leading: number;
let cluster: ClusterAdministration;

beforeEach(() => {
  topology = new Topology();
  executed = [];
  leading = 1;
  cluster = new ClusterAdministration({
    topology,
    metadata: {
      execute: async (command) => {
        executed.push(command.kind);
        return { reply: { result: 'done' } } as never;
      },
    },
    leading: () => leading,
    ownView: {
      leaderOf: () => undefined,
      hears: (nodeId) => nodeId !== 2,
      troubles: () => [{ nodeId: 1, kind: 'disk-failed' }],
    },
  });
});

function know(replicationFactor: number, nodes: NodeInfo[]): void {
  topology.reset({
    epoch: 1,
    clusterId: 'c',
    partitionCount: 0,
    replicationFactor,
    nodes,
    partitions: [],
    config: DEFAULT_QUEUE_SUBSYSTEM_CONFIG,
    queues: [],
  });
}

async function leave(name: string): Promise<string> {
  const outcome = await cluster.setNodeState(name, 'leaving');
  return outcome.ok ? 'done' : outcome.message;
}

describe('what is wrong', () => {
  const all = ['gateway', 'store', 'coordinator'] as const;
  const messages = () => {
    const status = cluster.status();
    return status.ok ? status.value.problems.map(({ message }) => message) : [status.message];
  };

  test('as the coordinator said last; when none answers, only what this node sees by itself', () => {
    know(1, [nodeInfo(1, all), nodeInfo(2, all), nodeInfo(3, all)]);
    const troubles = [{ partition: 4, nodeId: 2, kind: 'parted' as const }];
    const nodeTroubles = [
      { nodeId: 2, kind: 'parted' as const },
      { nodeId: 3, kind: 'disk-low' as const },
    ];
    topology.applyLiveness({ leaders: [], alive: [1, 2, 3], troubles, nodeTroubles });
    expect(messages()).toEqual([
      expect.stringMatching(/^The disk of n3 is almost full/),
      expect.stringMatching(/^n2 has no connection to the coordinators since a moment/),
    ]);
    leading = 0;
    expect(messages()).toEqual([
      expect.stringMatching(/^No coordinator answers/),
      expect.stringMatching(/^n2 is not heard of/),
      expect.stringMatching(/^The disk of n1 failed/),
    ]);
  });
});

describe('who may leave', () => {
  const all = ['gateway', 'store', 'coordinator'] as const;

  test('a store that no copy needs, a gateway always', async () => {
    know(2, [nodeInfo(1, all), nodeInfo(2, all), nodeInfo(3, all), nodeInfo(4, ['gateway'])]);
    expect([await leave('n3'), await leave('n4')]).toEqual(['done', 'done']);
    expect(executed).toEqual(['set-node-state', 'set-node-state']);
  });

  test('not a store without which there are too few for the copies', async () => {
    know(2, [nodeInfo(1, all), nodeInfo(2, all), nodeInfo(3, all, { state: 'leaving' })]);
    expect(await leave('n2')).toMatch(/2 copies of every message need as many stores, and 1 would stay/);
    expect(executed).toEqual([]);
  });

  test('and who is refused is told the command that helps, with its call', async () => {
    know(2, [nodeInfo(1, all), nodeInfo(2, all)]);
    expect(await cluster.setNodeState('n2', 'leaving')).toMatchObject({
      hint: expect.stringMatching(/sluice cluster replicas N \(PUT \/api\/v5\/cluster\)/),
    });
    expect(await cluster.setNodeState('n9', 'leaving')).toMatchObject({
      hint: expect.stringMatching(/sluice cluster status .*\(GET \/api\/v5\/cluster\)/),
    });
  });

  test('not the last coordinator: nobody would know of the cluster', async () => {
    const others = [nodeInfo(2, ['store']), nodeInfo(3, ['store']), nodeInfo(4, all, { state: 'leaving' })];
    know(1, [nodeInfo(1, all), ...others]);
    expect(await leave('n1')).toMatch(/last coordinator/);
    know(1, [nodeInfo(1, all), ...others, nodeInfo(5, ['coordinator'], { state: 'draining' })]);
    expect(await leave('n1')).toBe('done');
  });
});
