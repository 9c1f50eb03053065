import type { Clock } from '@sluice/common/clock';
import type { Topology } from '@sluice/meta/topology';
import type { RaftHost } from '@sluice/multiraft/raft-host';
import type { Partition } from '../partition/partition.ts';
import { viewOf } from './group-view.ts';
import type { HandOvers } from './hand-overs.ts';
import type { MembershipKeeper } from './membership-keeper.ts';
import { heirsOf } from './membership-step.ts';

/**
 * Hands leadership to whom the coordinator prefers, so that leaders are even over the stores, and away from a disk that
 * is full while others have space. Not while a membership changes, not right after leadership began (everybody has just
 * found the leader), and a few at a time: each hand-over makes a partition's publishes wait for some milliseconds. Nor to a
 * node that was lost from sight a moment ago: over a link that breaks again and again leaders would go there each time it
 * holds, and be lost each time it does not.
 */
export class LeaderBalancer {
  readonly #options: LeaderBalancerOptions;

  static readonly REIGN_MS_MIN = 1000;
  /** Longer than it takes to notice a connection that carries nothing (3.5 s) and to make another (1 s at most). */
  static readonly IN_SIGHT_MS_MIN = 5000;
  static readonly AT_ONCE_MAX = 2;

  constructor(options: LeaderBalancerOptions) {
    this.#options = options;
  }

  /** To whom the coordinator prefers. */
  balance(): void {
    for (const partition of this.#movable()) this.#prefer(partition);
  }

  /** Publishes are refused here for want of space: to anybody who has some. */
  relieve(): void {
    for (const partition of this.#movable()) this.#relieve(partition);
  }

  *#movable(): Iterable<Partition> {
    const { partitions, handOvers } = this.#options;
    for (const partition of partitions.values()) {
      if (handOvers.count >= LeaderBalancer.AT_ONCE_MAX) return;
      if (partition.leads && !handOvers.isRunning(partition.groupId)) yield partition;
    }
  }

  #prefer(partition: Partition): void {
    const { nodeId, topology, keeper, handOvers, host, clock } = this.#options;
    const { groupId } = partition;
    const place = topology.partition(groupId);
    if (place === undefined || place.preferredLeader === 0 || place.preferredLeader === nodeId) return;
    if (clock.monotonicMs() - partition.leadsSinceMs < LeaderBalancer.REIGN_MS_MIN || !keeper.isAtRest(groupId)) return;
    const heir = handOvers.best(groupId, [place.preferredLeader]);
    if (heir === undefined || viewOf(host, groupId)?.fit.has(heir) !== true) return;
    if (host.inSightMs(heir) < LeaderBalancer.IN_SIGHT_MS_MIN) return;
    void handOvers.begin(partition, heir, 'preferred');
  }

  #relieve(partition: Partition): void {
    const { topology, handOvers, host } = this.#options;
    const place = topology.partition(partition.groupId);
    const view = viewOf(host, partition.groupId);
    if (place === undefined || view === undefined || view.isChanging) return;
    const heir = handOvers.best(partition.groupId, heirsOf(view, place));
    if (heir !== undefined) void handOvers.begin(partition, heir, 'disk');
  }
}

export interface LeaderBalancerOptions {
  nodeId: number;
  host: Pick<RaftHost, 'status' | 'peerAlive' | 'inSightMs'>;
  partitions: ReadonlyMap<number, Partition>;
  topology: Topology;
  keeper: MembershipKeeper;
  handOvers: HandOvers;
  clock: Clock;
}
