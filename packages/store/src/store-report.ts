import type { DiskTrouble } from '@sluice/meta/cluster-liveness';
import type { GroupStatus } from '@sluice/multiraft/group/group-status';
import type { RaftHost } from '@sluice/multiraft/raft-host';
import { RETAINED_QUEUE_ID } from '@sluice/queue/machine/internal-queues';
import type { NodeReport, PartitionReport } from '@sluice/rpc/contract/topology-feed';
import type { DiskGuard } from './disk-guard.ts';
import type { Partition } from './partition/partition.ts';

/** A voter that misses more than this many entries is told of: with less it is up to date in a moment. */
const BEHIND_ENTRIES = 1_024;

type ReportedHost = Pick<RaftHost, 'status' | 'impaired' | 'diskTrouble' | 'hasLost'>;

/** What a store tells the coordinator every second. Nothing of it is found by walking queues. */
export class StoreReport {
  readonly #host: ReportedHost;
  readonly #partitions: ReadonlyMap<number, Partition>;
  readonly #disk: Pick<DiskGuard, 'low'>;

  constructor(host: ReportedHost, partitions: ReadonlyMap<number, Partition>, disk: Pick<DiskGuard, 'low'>) {
    this.#host = host;
    this.#partitions = partitions;
    this.#disk = disk;
  }

  now(): StoreNodeReport {
    const leads: PartitionReport[] = [];
    for (const partition of this.#partitions.values()) if (partition.leads) leads.push(this.#partition(partition));
    const impaired = this.#host.impaired().filter(isPartition);
    return { leads, impaired, replicas: [...this.#partitions.keys()], disk: this.disk };
  }

  get disk(): DiskTrouble | undefined {
    return this.#host.diskTrouble ?? (this.#disk.low ? 'disk-low' : undefined);
  }

  #partition(partition: Partition): PartitionReport {
    const { groupId, term, committedMembership, queues } = partition;
    const membership = committedMembership?.membership;
    const voters = union(membership?.voters, membership?.votersOutgoing);
    const unheard = voters.filter((voter) => this.#host.hasLost(voter));
    return {
      partition: groupId,
      term,
      membershipIndex: committedMembership?.index ?? 0,
      voters,
      learners: union(membership?.learners, membership?.learnersNext),
      depth: queues.depth - (queues.queue(RETAINED_QUEUE_ID)?.depth ?? 0),
      behind: this.#behind(groupId),
      unheard: unheard.length === 0 ? undefined : unheard,
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

export type StoreNodeReport = Pick<NodeReport, 'leads' | 'impaired' | 'replicas' | 'disk'>;
