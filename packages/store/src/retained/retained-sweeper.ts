import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { QueueHead, SettleRow } from '@sluice/queue/machine/command/commands';
import { RETAINED_QUEUE_ID } from '@sluice/queue/machine/internal-queues';
import type { IndexRow } from '@sluice/queue/machine/row/index-row';
import type { Partition } from '../partition/partition.ts';
import { PartitionWalks } from '../sweep/partition-walks.ts';

/**
 * Removes retained messages that have expired. Readers pass over them anyhow, but nobody consumes them as a queue's
 * messages are consumed, so without a look at them they would count towards the limits for ever. An index by expiry would
 * be a row more for each message that has one; instead each partition is walked round and round, a few rows at a time.
 */
export class RetainedSweeper {
  readonly #clock: Clock;
  readonly #walks: PartitionWalks<number>;

  static readonly INTERVAL_MS = 1000;
  /** Looked at in one interval, a partition. */
  static readonly STEP_ROWS = 32;

  constructor(options: { partitions: ReadonlyMap<number, Partition>; clock: Clock; logger: Logger }) {
    const { partitions, logger } = options;
    this.#clock = options.clock;
    this.#walks = new PartitionWalks({
      partitions,
      logger,
      step: (partition, from) => this.#step(partition, from),
      complaint: 'expired retained messages could not be removed; it is tried again',
    });
  }

  start(): void {
    this.#walks.start(RetainedSweeper.INTERVAL_MS);
  }

  stop(): void {
    this.#walks.stop();
  }

  /** One step of every walk. */
  sweep(): Promise<void> {
    return this.#walks.walk();
  }

  async #step(partition: Partition, place: number | undefined): Promise<number | undefined> {
    const queue = partition.queues.queue(RETAINED_QUEUE_ID);
    if (queue === undefined || queue.depth === 0 || !partition.isTimely) return undefined;
    const { head } = queue;
    const from = Math.max(head, place ?? 0);
    const read = await partition.index.rowsFrom(RETAINED_QUEUE_ID, from, RetainedSweeper.STEP_ROWS);
    const rows = expiredIn(read, this.#clock.nowMs());
    const heads: QueueHead[] = [];
    const first = read[0];
    // Readers need not walk over what is gone.
    if (from === head && first !== undefined && first.base > head) {
      heads.push({ queueId: RETAINED_QUEUE_ID, head: first.base });
    }
    if (rows.length > 0 || heads.length > 0) await partition.execute({ type: 'settle', rows, heads });
    const last = read.at(-1);
    return last === undefined || read.length < RetainedSweeper.STEP_ROWS ? undefined : last.base + 1;
  }
}

function expiredIn(rows: readonly IndexRow[], nowMs: number): SettleRow[] {
  const settled: SettleRow[] = [];
  for (const row of rows) {
    const expired: number[] = [];
    for (let offset = row.nextLive(row.base); offset !== -1; offset = row.nextLive(offset + 1)) {
      const expiresAtMs = row.expiresAtMsOf(offset);
      if (expiresAtMs !== 0 && expiresAtMs <= nowMs) expired.push(offset, offset + 1);
    }
    if (expired.length > 0) settled.push({ queueId: RETAINED_QUEUE_ID, rowBase: row.base, expired });
  }
  return settled;
}
