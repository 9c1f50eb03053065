import type { GroupStatus } from '@sluice/multiraft/group/group-status';
import type { RaftHost } from '@sluice/multiraft/raft-host';
import { RETAINED_QUEUE_ID } from '@sluice/queue/machine/internal-queues';
import type { NodeReport, PartitionReport } from '@sluice/rpc/contract/topology-feed';
import type { Partition } from './partition/partition.ts';

/** A voter that misses more than this many entries is told of: with less it is up to date in a moment. */
const BEHIND_ENTRIES = 1_024;

/** What a store tells the coordinator every second. Nothing of it is found by walking queues. */
export class StoreReport {
  readonly #host: Pick<RaftHost, 'status' | 'impaired'>;
  readonly #partitions: ReadonlyMap<number, Partition>;

  constructor(host: Pick<RaftHost, 'status' | 'impaired'>, partitions: ReadonlyMap<number, Partition>) {
    this.#host = host;
    this.#partitions = partitions;
  }

  now(): StoreNodeReport {
    const leads: PartitionReport[] = [];
    for (const partition of this.#partitions.values()) if (partition.leads) leads.push(this.#partition(partition));
    return { leads, impaired: this.#host.impaired().filter(isPartition), replicas: [...this.#partitions.keys()] };
  }

  #partition(partition: Partition): PartitionReport {
    const { groupId, term, committedMembership, queues } = partition;
    const membership = committedMembership?.membership;
    return {
      partition: groupId,
      term,
      membershipIndex: committedMembership?.index ?? 0,
      voters: union(membership?.voters, membership?.votersOutgoing),
      learners: union(membership?.learners, membership?.learnersNext),
      depth: queues.depth - (queues.queue(RETAINED_QUEUE_ID)?.depth ?? 0),
      behind: this.#behind(groupId),
    };
  }

  #behind(groupId: number): readonly number[] | undefined {
    const status = this.#host.status(groupId);
    if (status === undefined) return undefined;
    const behind = behindOf(status);
    return behind.length === 0 ? undefined : behind;
  }
}

/** Voters that answer and miss more than a moment brings. */
export function behindOf({ progress, commit, membership }: GroupStatus): number[] {
  const behind = progress.filter(
    ({ peer, match, recentlyActive }) =>
      recentlyActive && membership.voters.includes(peer) && commit - match > BEHIND_ENTRIES,
  );
  return behind.map(({ peer }) => peer);
}

/** Group 0 is the metadata's. */
function isPartition(groupId: number): boolean {
  return groupId > 0;
}

function union(a: readonly number[] = [], b: readonly number[] = []): number[] {
  return [...new Set([...a, ...b])].sort((one, other) => one - other);
}

export type StoreNodeReport = Pick<NodeReport, 'leads' | 'impaired' | 'replicas'>;
