import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { QueueHead, SettleRow } from '@sluice/queue/machine/commands';
import type { IndexRow } from '@sluice/queue/machine/index-row';
import { RETAINED_QUEUE_ID } from '@sluice/queue/machine/internal-queues';
import type { Partition } from '../partition.ts';

/**
 * Removes retained messages that have expired. Readers pass over them anyhow, but nobody consumes them as a queue's
 * messages are consumed, so without a look at them they would count towards the limits for ever. An index by expiry would
 * be a row more for each message that has one; instead each partition is walked round and round, a few rows at a time.
 */
export class RetainedSweeper {
  readonly #partitions: ReadonlyMap<number, Partition>;
  readonly #clock: Clock;
  readonly #logger: Logger;
  /** Where each walk stands, of the partitions led here. */
  readonly #places = new Map<Partition, number>();
  #timer: NodeJS.Timeout | undefined;
  #sweeping = false;

  static readonly INTERVAL_MS = 1000;
  /** Looked at in one interval, a partition. */
  static readonly STEP_ROWS = 32;

  constructor(options: { partitions: ReadonlyMap<number, Partition>; clock: Clock; logger: Logger }) {
    this.#partitions = options.partitions;
    this.#clock = options.clock;
    this.#logger = options.logger;
  }

  start(): void {
    this.#timer = setInterval(() => void this.sweep(), RetainedSweeper.INTERVAL_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** One step of every walk. */
  async sweep(): Promise<void> {
    if (this.#sweeping) return;
    this.#sweeping = true;
    try {
      for (const partition of this.#partitions.values()) {
        if (partition.leads) await this.#step(partition);
        else this.#places.delete(partition);
      }
    } catch (cause) {
      this.#logger.error({ err: cause }, 'expired retained messages could not be removed; it is tried again');
    } finally {
      this.#sweeping = false;
    }
  }

  async #step(partition: Partition): Promise<void> {
    const queue = partition.queues.queue(RETAINED_QUEUE_ID);
    if (queue === undefined || queue.depth === 0) {
      this.#places.delete(partition);
      return;
    }
    const { head } = queue;
    const from = Math.max(head, this.#places.get(partition) ?? 0);
    const read = await partition.index.rowsFrom(RETAINED_QUEUE_ID, from, RetainedSweeper.STEP_ROWS);
    const last = read.at(-1);
    this.#places.set(partition, last === undefined || read.length < RetainedSweeper.STEP_ROWS ? 0 : last.base + 1);
    const rows = expiredIn(read, this.#clock.nowMs());
    const heads: QueueHead[] = [];
    const first = read[0];
    // Readers need not walk over what is gone.
    if (from === head && first !== undefined && first.base > head) {
      heads.push({ queueId: RETAINED_QUEUE_ID, head: first.base });
    }
    if (rows.length > 0 || heads.length > 0) await partition.execute({ type: 'settle', rows, heads });
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
