import type { Logger } from '@sluice/common/logger';
import type { PartitionInfo } from '@sluice/meta/partition-info';
import type { Topology } from '@sluice/meta/topology';
import type { RaftHost } from '@sluice/multiraft/raft-host';
import type { Partition } from '../partition/partition.ts';
import { viewOf } from './group-view.ts';
import type { HandOvers } from './hand-overs.ts';
import { nextStep } from './membership-step.ts';

/**
 * Makes the membership of the groups led here follow the placement, a step at a time (`membership-step` decides which).
 * Looks again with every tick while something is to be done; a group that is where it shall be is not looked at until its
 * place, its membership or its leader moves.
 */
export class MembershipKeeper {
  readonly #host: Pick<RaftHost, 'status' | 'peerAlive' | 'proposeMembership'>;
  readonly #partitions: ReadonlyMap<number, Partition>;
  readonly #topology: Topology;
  readonly #handOvers: HandOvers;
  readonly #logger: Logger;
  /** The place that a group is known to have reached. */
  readonly #reached = new Map<number, PartitionInfo>();

  constructor(options: {
    host: Pick<RaftHost, 'status' | 'peerAlive' | 'proposeMembership'>;
    partitions: ReadonlyMap<number, Partition>;
    topology: Topology;
    handOvers: HandOvers;
    logger: Logger;
  }) {
    this.#host = options.host;
    this.#partitions = options.partitions;
    this.#topology = options.topology;
    this.#handOvers = options.handOvers;
    this.#logger = options.logger;
  }

  /** Its leader or its membership moved. */
  moved(groupId: number): void {
    this.#reached.delete(groupId);
  }

  /** Nothing is to be changed about the group: it may be led by whom it likes. */
  isAtRest(groupId: number): boolean {
    return this.#reached.get(groupId) !== undefined && this.#reached.get(groupId) === this.#topology.partition(groupId);
  }

  tick(): void {
    for (const partition of this.#partitions.values()) {
      const { groupId } = partition;
      if (!partition.leads || this.#handOvers.isRunning(groupId) || this.isAtRest(groupId)) continue;
      const place = this.#topology.partition(groupId);
      if (place !== undefined) this.#approach(partition, place);
    }
  }

  #approach(partition: Partition, place: PartitionInfo): void {
    const { groupId } = partition;
    const view = viewOf(this.#host, groupId);
    if (view === undefined) return;
    const step = nextStep(view, place);
    if (step === undefined) {
      const isThere = !view.isChanging && view.learners.length === 0 && isSameSet(view.voters, place.replicas);
      if (isThere) this.#reached.set(groupId, place);
      return;
    }
    if (step.type === 'hand-over') {
      const heir = this.#handOvers.best(groupId, step.heirs);
      if (heir !== undefined) void this.#handOvers.begin(partition, heir, 'leaves the group');
      return;
    }
    const outcome = this.#host.proposeMembership(groupId, step.change);
    if (outcome === 'proposed') {
      this.#logger.info({ partition: groupId, ...step.change }, 'the members of a partition change');
    } else {
      // Something else is under way in the group: the next tick asks again.
      this.#logger.debug({ partition: groupId, outcome, ...step.change }, 'a change of members has to wait');
    }
  }
}

function isSameSet(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((node) => b.includes(node));
}
