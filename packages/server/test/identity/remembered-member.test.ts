import { describe, expect, test } from '@jest/globals';
import type { NodeInfo } from '@sluice/meta/node-info';
import { DEFAULT_QUEUE_SUBSYSTEM_CONFIG } from '@sluice/meta/queue-subsystem-config';
import { Topology } from '@sluice/meta/topology';
import type { Member } from '../../src/identity/node-identity.ts';
import { copiesOf, rememberedMember } from '../../src/identity/remembered-member.ts';

const MEMBER: Member = { nodeId: 4, clusterId: 'c', foundedWith: [], copies: 1, coordinators: [] };

function node(nodeId: number, roles: NodeInfo['roles'], over: Partial<NodeInfo> = {}): NodeInfo {
  const name = `node-${nodeId}`;
  const identity = { nodeId, name, address: `${name}:1`, incarnation: name, mqttAddress: '' };
  return { ...identity, roles, rack: '', version: '', state: 'active', ...over };
}

function topologyOf(nodes: readonly NodeInfo[], replicas: readonly number[][]): Topology {
  const topology = new Topology();
  topology.reset({
    epoch: 7,
    clusterId: 'c',
    partitionCount: replicas.length,
    replicationFactor: 3,
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
    const known = rememberedMember(MEMBER, topologyOf([...nodes, node(7, ['store'], { state: 'gone' })], [[4, 5]]), 2);
    expect(known?.coordinators).toEqual([{ nodeId: 1, address: 'node-1:1' }]);
    expect(known?.nodes?.map(({ nodeId }) => nodeId)).toEqual([1, 5, 6]);
  });

  test('how many copies there are of everything that is here: voters, as committed', () => {
    const group = (voters: number[], votersOutgoing: number[] = [], learners: number[] = []) => ({
      voters,
      votersOutgoing,
      learners,
      learnersNext: [],
    });
    expect(copiesOf([group([1, 2, 3]), group([1, 2, 4])])).toBe(3);
    expect(copiesOf([group([1, 2, 3]), group([1], [], [2, 3])])).toBe(1);
    // Half way from one to three: the old half alone has everything.
    expect(copiesOf([group([1, 2, 3], [1])])).toBe(1);
    expect(copiesOf([group([])])).toBe(1);
    expect(copiesOf([])).toBe(1);
    expect(rememberedMember(MEMBER, topologyOf([node(1, ['coordinator'])], []), 3)?.copies).toBe(3);
  });

  test('nothing is written down twice, and nothing without a coordinator', () => {
    const topology = topologyOf([node(1, ['coordinator'])], [[1, 2, 3]]);
    const known = rememberedMember(MEMBER, topology, 3) as Member;
    expect(rememberedMember(known, topology, 3)).toBeUndefined();
    expect(rememberedMember(MEMBER, topologyOf([], []), 3)).toBeUndefined();
  });
});
