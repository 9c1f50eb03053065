import type { Topology } from '@sluice/meta/topology';
import type { Member } from './node-identity.ts';

/**
 * What a later start needs before anybody can be asked: where the coordinators are, where the other nodes are, and whether
 * there are other copies. A store that starts while every coordinator is away finds its peers by it: they have a majority
 * together, and nobody else would tell it where they are. Undefined when nothing of it is new.
 */
export function rememberedMember(member: Member, topology: Topology): Member | undefined {
  const coordinators = topology.coordinators().map(({ nodeId, address }) => ({ nodeId, address }));
  if (coordinators.length === 0) return undefined;
  const nodes = topology
    .nodes()
    .filter(({ nodeId, address, state }) => state !== 'gone' && address !== '' && nodeId !== member.nodeId)
    .map(({ nodeId, address }) => ({ nodeId, address }));
  const known = { ...member, coordinators, nodes, copies: copiesOf(topology), clusterId: topology.clusterId };
  return JSON.stringify(known) === JSON.stringify(member) ? undefined : known;
}

/** Of the partition with the fewest: what is damaged must be had elsewhere for every one of them. */
function copiesOf(topology: Topology): number {
  let fewest = topology.partitionCount === 0 ? 1 : topology.replicationFactor;
  for (let partition = 1; partition <= topology.partitionCount; partition++) {
    fewest = Math.min(fewest, topology.replicasOf(partition).length);
  }
  return Math.max(1, fewest);
}
