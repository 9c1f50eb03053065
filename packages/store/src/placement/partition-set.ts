import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { Counter, Metrics } from '@sluice/common/metrics';
import type { Topology } from '@sluice/meta/topology';
import type { RaftHost } from '@sluice/multiraft/raft-host';
import type { StoreAdminResponse } from '@sluice/rpc/contract/store-admin';
import type { Transport } from '@sluice/rpc/transport';
import { PartitionMachine, RESIDENT_RANGES } from '../machine/partition-machine.ts';
import type { Partition } from '../partition/partition.ts';
import { askStore } from './ask-store.ts';

/**
 * Which partitions this node has a replica of. They come when the coordinator places them here, and go when it has placed
 * them elsewhere.
 *
 * Giving a replica up cannot be taken back, and the image this node decides by may be old, or of a coordinator that was
 * restored from a backup. So absence from the image is only a reason to look: a replica goes when the partition's group
 * has itself, by a committed change, left this node out. Its leader says so, after a majority has confirmed that it leads,
 * as of an index not below what this replica knows of. The replica's own log does not: a learner that is still reading
 * the years before it was added finds itself missing from every membership it has got to.
 *
 * While the leader is asked the replica is deaf. It would otherwise go on acknowledging, should it be added again in that
 * moment, and be wiped when the leader already counts on what it has.
 *
 * Each group is opened and given up by one task at a time; groups do not wait for each other. What could not be removed, on
 * a disk that fails now and then, is removed again, with pauses that double; until it is gone nothing is opened in its place.
 * After `REMOVALS_MAX` the rest of it waits for the next start, which finishes what was begun.
 */
export class PartitionSet {
  readonly partitions: ReadonlyMap<number, Partition>;
  readonly #partitions = new Map<number, Partition>();
  readonly #options: PartitionSetOptions;
  /** Groups that a task is at work on. */
  readonly #busy = new Map<number, Promise<void>>();
  /** Given up in this life. Such a replica never begins a log of its own again: it once promised to another. */
  readonly #givenUp = new Set<number>();
  /** Of those, what is not removed yet. */
  readonly #remains = new Map<number, Remains>();
  readonly #failedRemovals: Counter;
  #closed = false;

  /** What a leader that does not answer may cost a look; the next tick looks again. */
  static readonly ASK_MS = 1000;
  static readonly REMOVALS_MAX = 10;
  /** Behind the first removal that failed; twice as long behind each further one. */
  static readonly REMOVE_AGAIN_MS = 1_000;

  constructor(options: PartitionSetOptions) {
    this.partitions = this.#partitions;
    this.#options = options;
    this.#failedRemovals = options.metrics.counter(
      'sluice_store_replica_removals_failed_total',
      'Replicas that were given up and could not be removed from this node, each time it was tried',
    );
  }

  /** Everything this node has in its log, whatever the image says: it is needed until its group does without it. */
  async open(): Promise<void> {
    for (const groupId of [...this.#options.host.storedGroups()]) if (groupId > 0) await this.#add(groupId, undefined);
  }

  /** Called when the image moved, and with every tick: what could not be decided is looked at again. */
  reconcile(): void {
    const { topology, nodeId, clock } = this.#options;
    if (this.#closed || topology.epoch === 0) return;
    for (let groupId = 1; groupId <= topology.partitionCount; groupId++) {
      if (this.#busy.has(groupId)) continue;
      const remains = this.#remains.get(groupId);
      if (remains !== undefined) {
        if (clock.monotonicMs() >= remains.againAtMs) this.#run(groupId, () => this.#remove(groupId));
        continue;
      }
      const place = topology.partition(groupId);
      if (place === undefined) continue;
      const isWanted = place.replicas.includes(nodeId);
      const partition = this.#partitions.get(groupId);
      if (isWanted && partition === undefined) {
        const mayBegin = place.bootstrap && !this.#givenUp.has(groupId);
        this.#run(groupId, () => this.#add(groupId, mayBegin ? place.replicas : undefined));
      } else if (!isWanted && partition !== undefined && place.replicas.length > 0 && !partition.leads) {
        this.#run(groupId, () => this.#giveUpIfLeft(partition));
      }
    }
  }

  /** Every partition that the image places here is open. False without an image, or before partitions are placed. */
  get isComplete(): boolean {
    const { topology, nodeId } = this.#options;
    if (topology.epoch === 0) return false;
    for (let groupId = 1; groupId <= topology.partitionCount; groupId++) {
      const replicas = topology.replicasOf(groupId);
      if (replicas.length === 0 || (replicas.includes(nodeId) && !this.#partitions.has(groupId))) return false;
    }
    return true;
  }

  /** Resolves when no task is under way, and nothing is handed out any more. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#busy.values());
    for (const partition of this.#partitions.values()) partition.close();
  }

  #run(groupId: number, task: () => Promise<void>): void {
    const running = task()
      .catch((cause: Error) => {
        this.#options.logger.error({ err: cause, partition: groupId }, 'a replica could not be opened or given up');
      })
      .finally(() => this.#busy.delete(groupId));
    this.#busy.set(groupId, running);
  }

  async #add(groupId: number, bootstrapVoters: readonly number[] | undefined): Promise<void> {
    const partition = this.#options.make(groupId);
    partition.machine = await this.#options.host.addGroup({
      groupId,
      bootstrapVoters,
      residentRanges: RESIDENT_RANGES,
      restore: (rows) => PartitionMachine.restore(rows, this.#options.portionStreams),
      listener: partition,
    });
    this.#partitions.set(groupId, partition);
    this.#options.onMoved();
  }

  async #giveUpIfLeft(partition: Partition): Promise<void> {
    const { groupId } = partition;
    const { host, topology, nodeId, logger } = this.#options;
    host.deafen(groupId, true);
    let goes = false;
    try {
      const hasLeft = await this.#leaderSaysThatItLeft(groupId);
      // While the leader was asked the image may have moved.
      goes = hasLeft && !this.#closed && !partition.leads && !topology.replicasOf(groupId).includes(nodeId);
    } finally {
      if (!goes) host.deafen(groupId, false);
    }
    if (!goes) return;
    logger.info({ partition: groupId }, 'a replica is given up: its group goes on without this node');
    this.#givenUp.add(groupId);
    this.#partitions.delete(groupId);
    partition.close();
    await this.#remove(groupId);
  }

  async #remove(groupId: number): Promise<void> {
    const { host, clock, logger } = this.#options;
    try {
      await host.removeGroup(groupId);
    } catch (cause) {
      this.#failedRemovals.add();
      const failed = (this.#remains.get(groupId)?.failed ?? 0) + 1;
      const isLast = failed >= PartitionSet.REMOVALS_MAX;
      const pauseMs = isLast ? Number.POSITIVE_INFINITY : PartitionSet.REMOVE_AGAIN_MS * 2 ** (failed - 1);
      this.#remains.set(groupId, { failed, againAtMs: clock.monotonicMs() + pauseMs });
      const next = isLast ? 'the next start removes it' : 'it is tried again';
      logger.error({ err: cause, partition: groupId, failed }, `a replica that was given up is not removed: ${next}`);
      return;
    }
    this.#remains.delete(groupId);
    this.#options.onMoved();
  }

  async #leaderSaysThatItLeft(groupId: number): Promise<boolean> {
    const { nodeId, host } = this.#options;
    const answer = await this.#askLeader(groupId);
    if (answer === undefined || answer.members.includes(nodeId)) return false;
    return answer.index >= (host.status(groupId)?.membershipIndex ?? 0);
  }

  /** Asks who is likely to lead, and follows one hint. */
  async #askLeader(groupId: number): Promise<MembershipAnswer | undefined> {
    const { host, topology, nodeId } = this.#options;
    const asked = new Set([0, nodeId]);
    const candidates = [host.leaderOf(groupId), topology.leaderOf(groupId), ...topology.replicasOf(groupId)];
    for (let at = 0; at < candidates.length; at++) {
      const node = candidates[at] as number;
      if (asked.has(node)) continue;
      asked.add(node);
      const question = { type: 'membership', partition: groupId } as const;
      const answer = await askStore(this.#options.transport, node, question, PartitionSet.ASK_MS);
      if (answer?.type === 'membership') return answer;
      if (answer?.type === 'refused') candidates.push(answer.leader);
    }
    return undefined;
  }
}

/** Of a replica whose removal failed. */
interface Remains {
  readonly failed: number;
  readonly againAtMs: number;
}

type MembershipAnswer = Extract<StoreAdminResponse, { type: 'membership' }>;

/** Of both halves of a joint membership, voters and learners. */
export function membersOf(membership: {
  voters: readonly number[];
  votersOutgoing: readonly number[];
  learners: readonly number[];
  learnersNext: readonly number[];
}): number[] {
  const { voters, votersOutgoing, learners, learnersNext } = membership;
  return [...new Set([...voters, ...votersOutgoing, ...learners, ...learnersNext])];
}

export interface PartitionSetOptions {
  nodeId: number;
  host: Pick<RaftHost, 'addGroup' | 'removeGroup' | 'deafen' | 'storedGroups' | 'status' | 'leaderOf'>;
  topology: Topology;
  transport: Pick<Transport, 'call'>;
  clock: Clock;
  logger: Logger;
  metrics: Metrics;
  make: (groupId: number) => Partition;
  /** Absent: as the machine has it. */
  portionStreams?: number | undefined;
  /** A replica came or went. */
  onMoved: () => void;
}
