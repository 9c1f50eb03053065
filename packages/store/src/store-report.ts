import type { RaftHost } from '@sluice/multiraft/raft-host';
import type { NodeReport, PartitionReport } from '@sluice/rpc/contract/topology-feed';
import type { Partition } from './partition.ts';

/**
 * What a store tells the coordinator every second. Adding up the depths of a hundred thousand queues would hold the loop
 * up, so it is done in slices beside the reports, which tell the sum that was known last, and only where something was
 * applied since.
 */
export class StoreReport {
  readonly #host: Pick<RaftHost, 'status' | 'impaired'>;
  readonly #partitions: ReadonlyMap<number, Partition>;
  readonly #depths = new Map<number, { applied: number; depth: number }>();
  #adding = false;

  static readonly SLICE_QUEUES = 2048;

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

  #depth({ groupId }: Partition): number {
    const known = this.#depths.get(groupId);
    if (known?.applied !== this.#applied(groupId)) void this.#addUp();
    return known?.depth ?? 0;
  }

  async #addUp(): Promise<void> {
    if (this.#adding) return;
    this.#adding = true;
    let looked = 0;
    for (const { groupId, leads, machine } of this.#partitions.values()) {
      const applied = this.#applied(groupId);
      if (!leads || this.#depths.get(groupId)?.applied === applied) continue;
      let depth = 0;
      for (const queue of machine.queues()) {
        depth += queue.depth;
        if (++looked % StoreReport.SLICE_QUEUES === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      this.#depths.set(groupId, { applied, depth });
    }
    this.#adding = false;
  }

  #applied(groupId: number): number {
    return this.#host.status(groupId)?.applied ?? 0;
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
