import type { Logger } from '@sluice/common/logger';
import type { DropReason } from '@sluice/queue/machine/commands';
import type { IndexRow } from '@sluice/queue/machine/index-row';
import type { QueueState } from '@sluice/queue/machine/queue-state';
import type { Partition } from './partition.ts';
import { Turnstile } from './turnstile.ts';

/**
 * How records leave a queue other than by being consumed: retention, purge, trimming to a limit, and the sweep of a
 * removed queue. Each is a walk from the head in bounded steps, every step one replicated command that names its rows,
 * so that all replicas drop exactly the same and a long queue never makes one long stall.
 *
 * A walk belongs to the leadership it began under and ends with it: the next leader begins those that are still due, and
 * one that lingers here must not keep a new one from beginning when this node leads again.
 */
export class RowDropper {
  readonly #partition: Partition;
  readonly #logger: Logger;
  readonly #overflowed: Overflowed;
  #leadership: Leadership = beginLeadership();

  static readonly STEP_ROWS_MAX = 512;
  /** Steps under way. A session that ends may end a thousand streams, each of which is a walk. */
  static readonly STEPS_MAX = 8;

  constructor(partition: Partition, logger: Logger, overflowed: Overflowed = () => {}) {
    this.#partition = partition;
    this.#overflowed = overflowed;
    this.#logger = logger;
  }

  /**
   * Everything stored before now, delivered or not. Returns how many records went; undefined when leadership ended before
   * all of them had.
   */
  async purge(queueId: number): Promise<number | undefined> {
    const leadership = this.#leadership;
    const end = this.#partition.queues.queue(queueId)?.tail ?? 0;
    const cut: Cut = (row) => (row.base < end ? Math.min(end, row.base + row.count) : undefined);
    const dropped = await this.#walk(queueId, 'purged', cut);
    return this.#isOf(leadership) ? dropped : undefined;
  }

  /** Leadership ended. */
  stop(): void {
    this.#leadership = beginLeadership();
  }

  /**
   * Records appended before `beforeMs`. Returns when the oldest one left was appended, 0 when none is; undefined when the
   * walk came to no end, and the next leader does it.
   */
  async expire(queueId: number, beforeMs: number): Promise<number | undefined> {
    const leadership = this.#leadership;
    const head = this.#partition.queues.queue(queueId)?.head ?? 0;
    const oldest = this.#partition.index.recent(queueId, head);
    // Of queues that keep up all is in memory: a walk through the disk for each would be most of what they cost.
    if (oldest !== undefined && oldest.appendedAtMs >= beforeMs && this.#partition.leads) return oldest.appendedAtMs;
    let oldestMs = 0;
    await this.#walk(queueId, 'expired', (row) => {
      if (row.appendedAtMs < beforeMs) return row.base + row.count;
      oldestMs = row.appendedAtMs;
      return undefined;
    });
    return this.#isOf(leadership) ? oldestMs : undefined;
  }

  /** The oldest records until the queue is within its limits. */
  trim(queueId: number): void {
    void this.#once(queueId, 'overflow', async () => {
      const leadership = this.#leadership;
      while (this.#isOf(leadership)) {
        const queue = this.#partition.queues.queue(queueId);
        if (queue === undefined || !queue.isOverLimit) return;
        const excess = excessOf(queue);
        const cut: Cut = (row) => cutFor(row, excess);
        const dropped = await this.#step({ queueId, reason: 'overflow', cut, leadership }, queue.head);
        if (dropped === undefined) return;
        this.#overflowed(queueId, dropped.count);
      }
    });
  }

  /** What every session of a stream has received. */
  async pass(queueId: number, beforeOffset: number): Promise<void> {
    await this.#walk(queueId, 'passed', (row) =>
      row.base < beforeOffset ? Math.min(beforeOffset, row.base + row.count) : undefined,
    );
  }

  /** A removed queue's rows, all of them. */
  sweepRemoved(queueId: number): void {
    void this.#once(queueId, 'removed', async () => {
      await this.#walk(queueId, 'removed', (row) => row.base + row.count);
    });
  }

  async #walk(queueId: number, reason: DropReason, cut: Cut): Promise<number> {
    let dropped = 0;
    const walk: Walk = { queueId, reason, cut, leadership: this.#leadership };
    let from = this.#partition.queues.queue(queueId)?.head ?? 0;
    for (;;) {
      const step = await this.#step(walk, from);
      if (step === undefined) return dropped;
      dropped += step.count;
      from = step.next;
      // With its last row a removed queue is gone.
      if (this.#partition.queues.queue(queueId) === undefined) return dropped;
    }
  }

  /** Drops what `cut` says of the next rows; undefined when there is nothing (more) to drop. */
  #step(walk: Walk, from: number): Promise<Step | undefined> {
    return walk.leadership.steps.pass(() => this.#stepNow(walk, from));
  }

  async #stepNow({ queueId, reason, cut, leadership }: Walk, from: number): Promise<Step | undefined> {
    if (!this.#isOf(leadership)) return undefined;
    const rows = await this.#partition.index.rowsFrom(queueId, from, RowDropper.STEP_ROWS_MAX);
    if (!this.#isOf(leadership)) return undefined;
    const rowBases: number[] = [];
    let upperOffset: number | undefined;
    let next = from;
    for (const row of rows) {
      const upper = cut(row);
      if (upper === undefined || upper <= row.base) break;
      rowBases.push(row.base);
      next = upper;
      if (upper < row.base + row.count) {
        upperOffset = upper;
        break;
      }
    }
    if (rowBases.length === 0) return undefined;
    const reply = await this.#partition.execute({
      type: 'drop-rows',
      queueId,
      reason,
      rowBases,
      ...(upperOffset === undefined ? {} : { upperOffset }),
    });
    // Not the leader any more: the next one does it.
    if (reply?.type !== 'dropped') return undefined;
    return { count: reply.count, next };
  }

  #isOf(leadership: Leadership): boolean {
    return this.#leadership === leadership && this.#partition.leads;
  }

  async #once(queueId: number, reason: DropReason, walk: () => Promise<void>): Promise<void> {
    const id = `${queueId}:${reason}`;
    const { walking } = this.#leadership;
    if (walking.has(id)) return;
    walking.add(id);
    try {
      await walk();
    } catch (cause) {
      this.#logger.error({ err: cause, queue: queueId, reason }, 'dropping records failed');
    } finally {
      walking.delete(id);
    }
  }
}

/** Records before the returned offset go; undefined leaves the row and all that follow. */
type Cut = (row: IndexRow) => number | undefined;

/** Told how many of its oldest a queue at its limits has lost. */
type Overflowed = (queueId: number, count: number) => void;

interface Leadership {
  /** One walk a queue and reason at a time. */
  readonly walking: Set<string>;
  readonly steps: Turnstile;
}

function beginLeadership(): Leadership {
  return { walking: new Set(), steps: new Turnstile(RowDropper.STEPS_MAX) };
}

interface Walk {
  readonly queueId: number;
  readonly reason: DropReason;
  readonly cut: Cut;
  /** Under which it began. */
  readonly leadership: Leadership;
}

interface Step {
  count: number;
  next: number;
}

interface Excess {
  count: number;
  bytes: number;
}

function excessOf(queue: Readonly<QueueState>): Excess {
  return {
    count: queue.countMax === null ? 0 : queue.depth - queue.countMax,
    bytes: queue.bytesMax === null ? 0 : queue.depthBytes - queue.bytesMax,
  };
}

/** As many of the row's live records as the excess asks for; takes them off it. */
function cutFor(row: IndexRow, excess: Excess): number | undefined {
  let upper: number | undefined;
  for (let offset = row.nextLive(row.base); offset !== -1; offset = row.nextLive(offset + 1)) {
    if (excess.count <= 0 && excess.bytes <= 0) return upper;
    excess.count--;
    excess.bytes -= row.sizeBytesOf(offset);
    upper = offset + 1;
  }
  return row.base + row.count;
}
