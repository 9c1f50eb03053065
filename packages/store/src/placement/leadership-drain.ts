import type { Clock } from '@sluice/common/clock';
import type { Topology } from '@sluice/meta/topology';
import type { RaftHost } from '@sluice/multiraft/raft-host';
import type { Partition } from '../partition/partition.ts';
import { viewOf } from './group-view.ts';
import type { HandOvers } from './hand-overs.ts';
import { heirsOf } from './membership-step.ts';

/**
 * Hands every leadership of a store to others before it stops.
 *
 * A store that only stops leaves its partitions to an election each, and publishers wait for all of them. Who hands over
 * waits as long when the heirs are chosen once: one of them is busy, short of space, or stops as well, and a store that is
 * the last of its cluster to stop would wait for heirs that never come. So heirs are looked for again and again: at first
 * those that agree, then anybody who can, and no longer than there is hope or time.
 */
export class LeadershipDrain {
  readonly #host: Pick<RaftHost, 'status' | 'peerAlive'>;
  readonly #partitions: ReadonlyMap<number, Partition>;
  readonly #topology: Topology;
  readonly #handOvers: HandOvers;
  readonly #clock: Clock;

  /** How often heirs are looked for. */
  static readonly LOOK_MS = 50;
  /** Nobody is fit to take any of the leaderships: the others are gone as well, and waiting would only delay the stop. */
  static readonly HEIRLESS_MS = 1000;
  /** Heirs are asked whether they agree for so much of the time; then anybody who can must. */
  static readonly ASK_SHARE = 0.2;

  constructor(options: {
    host: Pick<RaftHost, 'status' | 'peerAlive'>;
    partitions: ReadonlyMap<number, Partition>;
    topology: Topology;
    handOvers: HandOvers;
    clock: Clock;
  }) {
    this.#host = options.host;
    this.#partitions = options.partitions;
    this.#topology = options.topology;
    this.#handOvers = options.handOvers;
    this.#clock = options.clock;
  }

  /**
   * True when this node leads nothing any more but what nobody else has; false when the time was up before, or nobody is
   * there to take the rest.
   */
  async run(timeoutMs: number): Promise<boolean> {
    const startedMs = this.#clock.monotonicMs();
    let hopefulMs = startedMs;
    for (;;) {
      const nowMs = this.#clock.monotonicMs();
      const led = [...this.#partitions.values()].filter((one) => one.leads && !one.isAlone);
      if (led.length === 0) return true;
      const mustAgree = nowMs - startedMs < timeoutMs * LeadershipDrain.ASK_SHARE;
      for (const partition of led) if (this.#handOver(partition, mustAgree)) hopefulMs = nowMs;
      if (nowMs - startedMs >= timeoutMs || nowMs - hopefulMs >= LeadershipDrain.HEIRLESS_MS) return false;
      await new Promise((resolve) => setTimeout(resolve, LeadershipDrain.LOOK_MS));
    }
  }

  /** False when nobody could take it. */
  #handOver(partition: Partition, mustAgree: boolean): boolean {
    const { groupId } = partition;
    if (this.#handOvers.isRunning(groupId)) return true;
    const view = viewOf(this.#host, groupId);
    if (view === undefined) return false;
    const heirs = heirsOf(view, this.#topology.partition(groupId) ?? ANYWHERE);
    // Later, whoever said no is asked no more, and must.
    const heir = this.#handOvers.best(groupId, heirs) ?? (mustAgree ? undefined : heirs[0]);
    if (heir !== undefined) void this.#handOvers.begin(partition, heir, 'drain', mustAgree);
    return heirs.length > 0;
  }
}

/** Without an image, every member is as good as the other. */
const ANYWHERE = { replicas: [], preferredLeader: 0 };
