import type { Logger } from '@sluice/common/logger';
import { FIRST_LEVEL } from '@sluice/meta/feature-levels';
import type { Topology } from '@sluice/meta/topology';
import type { RaftHost } from '@sluice/multiraft/raft-host';
import type { Membership } from '@sluice/raft/entry';
import type { Ground } from '../node/ground.ts';
import type { Member } from './node-identity.ts';

/**
 * What a later start needs before anybody can be asked: where the coordinators are, where the other nodes are, and whether
 * there are other copies. A store that starts while every coordinator is away finds its peers by it: they have a majority
 * together, and nobody else would tell it where they are. Undefined when nothing of it is new.
 */
export function rememberedMember(member: Member, topology: Topology, copies: number): Member | undefined {
  const coordinators = topology.coordinators().map(({ nodeId, address }) => ({ nodeId, address }));
  if (coordinators.length === 0) return undefined;
  const nodes = topology
    .nodes()
    .filter(({ nodeId, address, state }) => state !== 'gone' && address !== '' && nodeId !== member.nodeId)
    .map(({ nodeId, address, name }) => ({ nodeId, address, name }));
  const { level } = topology.featureLevel;
  const featureLevel = level === FIRST_LEVEL.level ? {} : { featureLevel: level };
  const known = { ...member, coordinators, nodes, copies, clusterId: topology.clusterId, ...featureLevel };
  return JSON.stringify(known) === JSON.stringify(member) ? undefined : known;
}

/**
 * Of the group with the fewest among those this node keeps: what is damaged here must be had elsewhere for every one of
 * them. Counted are voters, as committed: a member that is only wished for, or is catching up, has not everything yet.
 */
export function copiesOf(memberships: Iterable<Membership>): number {
  let fewest = Number.POSITIVE_INFINITY;
  for (const { voters, votersOutgoing } of memberships) {
    fewest = Math.min(fewest, voters.length, votersOutgoing.length === 0 ? fewest : votersOutgoing.length);
  }
  return Number.isFinite(fewest) ? Math.max(1, fewest) : 1;
}

/** Writes down what the node knows of its cluster now, for the next start. */
export async function rememberCluster({ ground, topology, host }: Remembering, logger: Logger): Promise<void> {
  const { member } = ground.identity;
  const copies = host === undefined ? 1 : copiesOf(membershipsHere(host));
  const known = member === undefined ? undefined : rememberedMember(member, topology, copies);
  if (known === undefined) return;
  try {
    await ground.become(known);
  } catch (err) {
    logger.warn({ err }, 'where the other nodes are could not be written down; the next start asks those it knows');
  }
}

function* membershipsHere(host: RaftHost): Iterable<Membership> {
  for (const groupId of host.storedGroups()) {
    const membership = host.status(groupId)?.committedMembership;
    // A group that is not open, or waits to be added to, says nothing of other copies.
    yield membership ?? NO_MEMBERSHIP;
  }
}

const NO_MEMBERSHIP: Membership = { voters: [], votersOutgoing: [], learners: [], learnersNext: [] };

interface Remembering {
  ground: Ground;
  topology: Topology;
  /** Stores and coordinators only. */
  host: RaftHost | undefined;
}
