import type { Logger } from '@sluice/common/logger';
import type { DropReason } from '@sluice/queue/machine/command/commands';
import type { QueueState } from '@sluice/queue/machine/queue-state';
import type { IndexRow } from '@sluice/queue/machine/row/index-row';
import { isStream } from '@sluice/queue/session/stream-id';
import type { Partition, PartitionEvents } from '../partition/partition.ts';
import { Turnstile } from '../read/turnstile.ts';

/**
 * How records leave a queue other than by being consumed: retention, purge, trimming to a limit, and the sweep of a
 * removed queue. Each is a walk from the head in bounded steps, every step one replicated command that names its rows,
 * so that all replicas drop exactly the same and a long queue never makes one long stall.
 *
 * A walk belongs to the leadership it began under and ends with it: the next leader begins those that are still due, and
 * one that lingers here must not keep a new one from beginning when this node leads again.
 *
 * A trim and the sweep of a removed queue are begun by what happened, which happens once. So one that failed, by a disk
 * that could not be read, is begun again here, `RETRY_TICKS_MIN` later and then after twice as long each time.
 */
export class RowDropper {
  readonly #partition: Partition;
  readonly #logger: Logger;
  readonly #events: DropEvents;
  #leadership: Leadership = beginLeadership();

  static readonly STEP_ROWS_MAX = 512;
  /** Steps under way. A session that ends may end a thousand streams, each of which is a walk. */
  static readonly STEPS_MAX = 8;
  /** Of the store, from a walk that failed to its next attempt. */
  static readonly RETRY_TICKS_MIN = 2;
  static readonly RETRY_TICKS_MAX = 128;

  constructor(partition: Partition, { logger, events }: { logger: Logger; events: DropEvents }) {
    this.#partition = partition;
    this.#events = events;
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

  /** Of the store: what failed is begun again when its time has come. */
  tick(): void {
    for (const failed of this.#leadership.failed.values()) {
      if (--failed.ticksLeft > 0) continue;
      if (failed.reason === 'removed') this.sweepRemoved(failed.queueId);
      else this.trim(failed.queueId);
    }
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
        const head = this.#overLimit(queueId)?.head;
        if (head === undefined) return;
        let excess: Excess | undefined;
        let isWithin = false;
        // Asked when the step has its turn and its rows: what was settled while it waited is not dropped as well.
        const cut: Cut = (row) => {
          const queue = this.#overLimit(queueId);
          isWithin = queue === undefined;
          if (queue === undefined) return undefined;
          excess ??= excessOf(queue);
          return cutFor(row, excess);
        };
        const dropped = await this.#step({ queueId, reason: 'overflow', cut, leadership }, head);
        if (dropped !== undefined && isStream(queueId)) this.#events.streamOverflowed(dropped.count);
        if (dropped === undefined && !isWithin) return;
      }
    });
  }

  #overLimit(queueId: number): Readonly<QueueState> | undefined {
    const queue = this.#partition.queues.queue(queueId);
    return queue?.isOverLimit === true ? queue : undefined;
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

  async #once(queueId: number, reason: BegunOnce, walk: () => Promise<void>): Promise<void> {
    const id = `${queueId}:${reason}`;
    const { walking, failed } = this.#leadership;
    if (walking.has(id)) return;
    walking.add(id);
    try {
      await walk();
      failed.delete(id);
    } catch (cause) {
      const { waitTicks: before = 0 } = failed.get(id) ?? {};
      const waitTicks = Math.min(Math.max(2 * before, RowDropper.RETRY_TICKS_MIN), RowDropper.RETRY_TICKS_MAX);
      failed.set(id, { queueId, reason, waitTicks, ticksLeft: waitTicks });
      this.#events.dropFailed(reason);
      this.#logger.error({ err: cause, queue: queueId, reason }, 'dropping records failed; it is tried again');
    } finally {
      walking.delete(id);
    }
  }
}

/** Begun by what happened to a queue; whoever begins the others begins them again. */
export type BegunOnce = Extract<DropReason, 'overflow' | 'removed'>;

type DropEvents = Pick<PartitionEvents, 'streamOverflowed' | 'dropFailed'>;

/** Records before the returned offset go; undefined leaves the row and all that follow. */
type Cut = (row: IndexRow) => number | undefined;

interface Leadership {
  /** One walk a queue and reason at a time. */
  readonly walking: Set<string>;
  /** Of these, whose last attempt failed; at most one a queue and reason, as with those that walk. */
  readonly failed: Map<string, Failed>;
  readonly steps: Turnstile;
}

function beginLeadership(): Leadership {
  return { walking: new Set(), failed: new Map(), steps: new Turnstile(RowDropper.STEPS_MAX) };
}

interface Failed {
  readonly queueId: number;
  readonly reason: BegunOnce;
  readonly waitTicks: number;
  ticksLeft: number;
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
