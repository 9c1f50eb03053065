import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { Topology } from '@sluice/meta/topology';
import type { Partition } from './partition.ts';

/**
 * Drops what a queue's retention period no longer covers. Looking at every queue's oldest row every second would read
 * the disk for queues that have days to go; so for each queue the moment is kept when its oldest record will be due.
 */
export class RetentionSweeper {
  readonly #partitions: ReadonlyMap<number, Partition>;
  readonly #topology: Topology;
  readonly #clock: Clock;
  readonly #logger: Logger;
  /** Replaced when definitions change: what a sweep under way still finds out then goes nowhere. */
  #nextLookMs = new Map<number, number>();
  #timer: NodeJS.Timeout | undefined;
  #sweeping = false;

  static readonly INTERVAL_MS = 1000;

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
    this.#timer = setInterval(() => void this.sweep(), RetentionSweeper.INTERVAL_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** A definition may have shortened a period: nothing is known any more. */
  definitionsChanged(): void {
    this.#nextLookMs = new Map();
  }

  async sweep(): Promise<void> {
    if (this.#sweeping) return;
    this.#sweeping = true;
    try {
      for (const partition of this.#partitions.values()) if (partition.leads) await this.#sweepPartition(partition);
    } catch (cause) {
      this.#logger.error({ err: cause }, 'expiring records failed; it is tried again');
    } finally {
      this.#sweeping = false;
    }
  }

  async #sweepPartition(partition: Partition): Promise<void> {
    const nowMs = this.#clock.nowMs();
    const nextLookMs = this.#nextLookMs;
    for (const queue of partition.machine.queues()) {
      if (queue.depth === 0 || queue.isRemoved) continue;
      const retentionMs = this.#topology.queue(queue.queueId)?.dataRetentionMs;
      if (retentionMs === undefined || nowMs < (nextLookMs.get(queue.queueId) ?? 0)) continue;
      const oldestMs = await partition.dropper.expire(queue.queueId, nowMs - retentionMs);
      nextLookMs.set(queue.queueId, (oldestMs === 0 ? nowMs : oldestMs) + retentionMs);
    }
  }
}
