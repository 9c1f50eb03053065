import type { Topology } from '@sluice/meta/topology';
import type { RaftHost } from '@sluice/multiraft/raft-host';
import type { PartitionSet } from './placement/partition-set.ts';

/**
 * Whether a store may be given work, and why not.
 *
 * Open services say nothing of it: before the image came, or while a partition of this node is still being opened, they
 * refuse whatever is asked. And a store that waited for a leader of everything would never be ready where a replica of it
 * is impaired or stopped, which other nodes must mend. Ready is a store whose partitions, as the image places them here,
 * are open and have a leader that somebody knows, or cannot have one.
 */
export class StoreReadiness {
  readonly #nodeId: number;
  readonly #host: Pick<RaftHost, 'impaired'>;
  readonly #partitions: PartitionSet;
  readonly #topology: Topology;
  #waiting: (() => void)[] = [];

  constructor(options: {
    nodeId: number;
    host: Pick<RaftHost, 'impaired'>;
    partitions: PartitionSet;
    topology: Topology;
  }) {
    this.#nodeId = options.nodeId;
    this.#host = options.host;
    this.#partitions = options.partitions;
    this.#topology = options.topology;
  }

  reached(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.look();
    });
  }

  /** What is missing, for people; undefined when nothing is. */
  missing(): string | undefined {
    if (!this.#partitions.isComplete) return 'its partitions are not placed or not opened yet';
    const impaired = this.#host.impaired();
    const leaderless: number[] = [];
    for (const { groupId, isStopped, leader } of this.#partitions.partitions.values()) {
      if (isStopped || impaired.includes(groupId) || leader !== 0 || this.#topology.leaderOf(groupId) !== 0) continue;
      if (this.#topology.replicasOf(groupId).includes(this.#nodeId)) leaderless.push(groupId);
    }
    return leaderless.length === 0 ? undefined : `no leader is known of partitions ${leaderless.join(', ')}`;
  }

  /** Something moved: it may be reached. */
  look(): void {
    if (this.#waiting.length === 0 || this.missing() !== undefined) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
