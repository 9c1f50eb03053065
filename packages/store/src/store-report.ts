import type { RaftHost } from '@sluice/multiraft/raft-host';
import type { NodeReport, PartitionReport } from '@sluice/rpc/contract/topology-feed';
import type { Partition } from './partition.ts';

/**
 * What a store tells the coordinator every second. Adding up the depths of many queues is the only part that could cost
 * something, so a partition in which nothing was applied since the last report keeps its sum.
 */
export class StoreReport {
  readonly #host: Pick<RaftHost, 'status' | 'impaired'>;
  readonly #partitions: ReadonlyMap<number, Partition>;
  readonly #depths = new Map<number, { applied: number; depth: number }>();

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
    const { groupId, term, committedMembership } = partition;
    const membership = committedMembership?.membership;
    return {
      partition: groupId,
      term,
      membershipIndex: committedMembership?.index ?? 0,
      voters: union(membership?.voters, membership?.votersOutgoing),
      learners: union(membership?.learners, membership?.learnersNext),
      depth: this.#depth(partition),
    };
  }

  #depth(partition: Partition): number {
    const applied = this.#host.status(partition.groupId)?.applied ?? 0;
    const known = this.#depths.get(partition.groupId);
    if (known?.applied === applied) return known.depth;
    let depth = 0;
    for (const queue of partition.machine.queues()) depth += queue.depth;
    this.#depths.set(partition.groupId, { applied, depth });
    return depth;
  }
}

/** Group 0 is the metadata's. */
function isPartition(groupId: number): boolean {
  return groupId > 0;
}

function union(a: readonly number[] = [], b: readonly number[] = []): number[] {
  return [...new Set([...a, ...b])].sort((one, other) => one - other);
}

export type StoreNodeReport = Pick<NodeReport, 'leads' | 'impaired' | 'replicas'>;
