import { describe, expect, test } from '@jest/globals';
import type { NodeInfo } from '@sluice/meta/node-info';
import { DEFAULT_QUEUE_SUBSYSTEM_CONFIG } from '@sluice/meta/queue-subsystem-config';
import { Topology } from '@sluice/meta/topology';
import type { Member } from '../../src/identity/node-identity.ts';
import { rememberedMember } from '../../src/identity/remembered-member.ts';

const MEMBER: Member = { nodeId: 4, clusterId: 'c', foundedWith: [], copies: 1, coordinators: [] };

function node(nodeId: number, roles: NodeInfo['roles'], over: Partial<NodeInfo> = {}): NodeInfo {
  const name = `node-${nodeId}`;
  const identity = { nodeId, name, address: `${name}:1`, incarnation: name, mqttAddress: '' };
  return { ...identity, roles, rack: '', version: '', state: 'active', ...over };
}

function topologyOf(nodes: readonly NodeInfo[], replicas: readonly number[][], replicationFactor = 3): Topology {
  const topology = new Topology();
  topology.reset({
    epoch: 7,
    clusterId: 'c',
    partitionCount: replicas.length,
    replicationFactor,
    nodes,
    partitions: replicas.map((ids, i) => ({ partition: i + 1, replicas: ids, preferredLeader: 0, bootstrap: false })),
    config: DEFAULT_QUEUE_SUBSYSTEM_CONFIG,
    queues: [],
  });
  return topology;
}

describe('what a node remembers of its cluster', () => {
  test('where every other node is, not the coordinators alone: a store finds its peers without them', () => {
    const nodes = [node(1, ['coordinator']), node(4, ['store']), node(5, ['store']), node(6, ['gateway'])];
    const known = rememberedMember(MEMBER, topologyOf([...nodes, node(7, ['store'], { state: 'gone' })], [[4, 5]]));
    expect(known?.coordinators).toEqual([{ nodeId: 1, address: 'node-1:1' }]);
    expect(known?.nodes?.map(({ nodeId }) => nodeId)).toEqual([1, 5, 6]);
  });

  test('how many copies there are of everything', () => {
    const nodes = [node(1, ['coordinator'])];
    const copies = (replicas: number[][], factor = 3) =>
      rememberedMember(MEMBER, topologyOf(nodes, replicas, factor))?.copies;
    expect(
      copies([
        [1, 2, 3],
        [1, 2],
        [1, 2, 3],
      ]),
    ).toBe(2);
    expect(copies([[1, 2, 3]], 2)).toBe(2);
    expect(copies([[1, 2, 3], []])).toBe(1);
    expect(copies([])).toBe(1);
  });

  test('nothing is written down twice, and nothing without a coordinator', () => {
    const topology = topologyOf([node(1, ['coordinator'])], [[1, 2, 3]]);
    const known = rememberedMember(MEMBER, topology) as Member;
    expect(rememberedMember(known, topology)).toBeUndefined();
    expect(rememberedMember(MEMBER, topologyOf([], []))).toBeUndefined();
  });
});
