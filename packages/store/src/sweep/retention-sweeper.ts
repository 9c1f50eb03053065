import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { Topology } from '@sluice/meta/topology';
import { isStream } from '@sluice/queue/session/stream-id';
import type { Partition } from '../partition/partition.ts';
import { ExpiredBehind } from './expired-behind.ts';
import { ExpiredHeads } from './expired-heads.ts';

/**
 * Drops what a queue's retention period no longer covers, and what has expired by itself. Looking at every
 * queue's oldest row every second would read the disk for queues that have days to go; so for each queue the moment is
 * kept when its oldest record will be due. Queues without records are not looked at. Even asking a hundred thousand
 * others for that moment costs something: the more there are, the rarer it is done.
 *
 * The streams of sessions are looked at for what has expired, as queues are: a client that is away for weeks would keep
 * everything that was meant for a minute.
 */
export class RetentionSweeper {
  readonly #partitions: ReadonlyMap<number, Partition>;
  readonly #topology: Topology;
  readonly #clock: Clock;
  readonly #logger: Logger;
  /** Of the partitions led here. Of one that was given up between two sweeps nothing is kept. */
  readonly #known = new WeakMap<Partition, Known>();
  #timer: NodeJS.Timeout | undefined;
  #sweeping = false;
  /** By the last sweep. */
  #looked = 0;
  #intervalsToSkip = 0;

  static readonly INTERVAL_MS = 1000;
  /** Queues looked at before others have their turn: a hundred thousand must not hold up the loop. */
  static readonly SLICE_QUEUES = 2048;
  /** Looked at in every interval; of twice as many every second one is skipped, and so on. */
  static readonly QUEUES_AN_INTERVAL = 10_000;

  constructor(options: {
    partitions: ReadonlyMap<number, Partition>;
    topology: Topology;
    clock: Clock;
    logger: Logger;
  }) {
    this.#partitions = options.partitions;
    this.#topology = options.topology;
    this.#clock = options.clock;
    this.#logger = options.logger;
  }

  start(): void {
    this.#timer = setInterval(() => this.#interval(), RetentionSweeper.INTERVAL_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** A definition may have shortened a period: nothing is known any more of these queues; undefined: of none. */
  definitionsChanged(queueIds: readonly number[] | undefined): void {
    for (const partition of this.#partitions.values()) {
      if (queueIds === undefined) this.#known.delete(partition);
      const known = this.#known.get(partition);
      if (known === undefined) continue;
      for (const queueId of queueIds ?? []) {
        known.nextLookMs.delete(queueId);
        known.heads.forget(queueId);
        known.behind.forget(queueId);
      }
    }
  }

  #interval(): void {
    if (this.#intervalsToSkip-- > 0) return;
    void this.sweep().then(() => {
      this.#intervalsToSkip = Math.floor(this.#looked / RetentionSweeper.QUEUES_AN_INTERVAL);
    });
  }

  async sweep(): Promise<void> {
    if (this.#sweeping) return;
    this.#sweeping = true;
    this.#looked = 0;
    for (const partition of this.#partitions.values()) {
      if (partition.leads) await this.#trySweep(partition);
      else this.#known.delete(partition);
    }
    this.#sweeping = false;
  }

  /** A row that cannot be read stops what is swept of its partition, and of no other. */
  async #trySweep(partition: Partition): Promise<void> {
    try {
      await this.#sweepPartition(partition);
    } catch (cause) {
      const fields = { err: cause, partition: partition.groupId };
      this.#logger.error(fields, 'expiring records failed; it is tried again');
    } finally {
      partition.sessions.sent.turnEnded();
    }
  }

  async #sweepPartition(partition: Partition): Promise<void> {
    if (!partition.isTimely) return;
    const nowMs = this.#clock.nowMs();
    const known = this.#known.get(partition) ?? nothingKnownOf(partition);
    this.#known.set(partition, known);
    const { nextLookMs, heads, behind } = known;
    heads.forgetGone();
    behind.forgetGone();
    for (const queue of partition.queues.filledQueues()) {
      if (++this.#looked % RetentionSweeper.SLICE_QUEUES === 0) await new Promise((resolve) => setImmediate(resolve));
      if (!partition.leads) return;
      if (queue.isRemoved) continue;
      const definition = this.#topology.queue(queue.queueId);
      // What is kept for sessions is bounded by its limits, and has no period.
      if (definition === undefined && !isStream(queue.queueId)) continue;
      if (heads.isDue(queue, nowMs)) await heads.look(queue.queueId, nowMs);
      behind.ask(queue, nowMs);
      if (definition === undefined) continue;
      if (nowMs < (nextLookMs.get(queue.queueId) ?? 0)) continue;
      const { dataRetentionMs } = definition;
      const oldestMs = await partition.dropper.expire(queue.queueId, nowMs - dataRetentionMs);
      // Not found out, or by a definition that is another by now: it is looked at again.
      if (oldestMs === undefined || this.#topology.queue(queue.queueId) !== definition) continue;
      nextLookMs.set(queue.queueId, (oldestMs === 0 ? nowMs : oldestMs) + dataRetentionMs);
    }
    await behind.turn(nowMs);
  }
}

/** What is known of a partition's queues, so that they are looked at when it is time. */
interface Known {
  /** When the oldest record of a queue will be due; by queue id. */
  readonly nextLookMs: Map<number, number>;
  readonly heads: ExpiredHeads;
  readonly behind: ExpiredBehind;
}

function nothingKnownOf(partition: Partition): Known {
  const behind = new ExpiredBehind(partition);
  return {
    nextLookMs: new Map(),
    heads: new ExpiredHeads(partition, (queueId, head) => behind.begin(queueId, head)),
    behind,
  };
}
