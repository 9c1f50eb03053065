import type { SettleRow } from '@sluice/queue/machine/command/commands';
import type { QueueState } from '@sluice/queue/machine/queue-state';
import type { IndexRow } from '@sluice/queue/machine/row/index-row';
import { isStream } from '@sluice/queue/session/stream-id';
import type { Partition } from '../partition/partition.ts';
import { toRanges } from '../settle/settle-batcher.ts';
import { heldRecordsOf } from './held-records.ts';

/**
 * Messages that have expired behind one that lives on, of queues that nobody consumes from: they would count as depth and
 * lag, and fill the queue, until the one before them is gone. Looking at all rows again and again would be most of what a
 * long backlog costs. So each row is looked at once it has been there for a while, and then only those stretches of rows
 * again of which something has died since: for each the earliest moment is kept, and for rows without any expiry nothing.
 *
 * Everything is bounded: rows a read, reads a turn of the partition (its queues are served in the order of coming), stretches
 * a queue; beyond these, two and two become one. What that costs is time: a stretch of many reads is not walked again
 * before as many seconds are over. Who consumes is not concerned: what is handed out is looked at then.
 */
export class ExpiredBehind {
  readonly #partition: Partition;
  readonly #walks = new Map<number, Walk>();
  /** In the order of coming. */
  readonly #waiting = new Set<number>();

  static readonly READ_ROWS_MAX = 256;
  static readonly READ_RECORDS_MAX = 4096;
  /** Of a partition, once a second: of a million rows all are read in less than ten minutes. */
  static readonly TURN_READS_MAX = 8;
  static readonly STRETCHES_MAX = 256;
  /** What consumers that keep up take is gone by then. */
  static readonly SETTLED_MS = 10_000;
  /** From a walk to the next one of the same rows, for each read. */
  static readonly AGAIN_MS = 1_000;

  constructor(partition: Partition) {
    this.#partition = partition;
  }

  /** The row at the head lives, in whole or in part: there may be others behind it, and none is older. */
  begin(queueId: number, { base, appendedAtMs }: IndexRow): void {
    const frontierMs = appendedAtMs + ExpiredBehind.SETTLED_MS;
    const walk = this.#walks.get(queueId);
    if (walk === undefined) this.#walks.set(queueId, { stretches: [], frontier: base, frontierMs, under: undefined });
    else if (walk.frontier <= base) walk.frontierMs = frontierMs;
  }

  /** Asked of every queue that holds something. It has its turn then, before those that come later. */
  ask({ queueId, tail }: Readonly<Pick<QueueState, 'queueId' | 'tail'>>, nowMs: number): void {
    const walk = this.#walks.get(queueId);
    if (walk === undefined) return;
    const isDue = walk.under !== undefined || walk.stretches.some(({ dueMs }) => dueMs <= nowMs);
    if (isDue || (walk.frontier < tail && walk.frontierMs <= nowMs)) this.#waiting.add(queueId);
  }

  /** Of those that asked, as many as there are reads for; the others are the first the next time. */
  async turn(nowMs: number): Promise<void> {
    let reads = ExpiredBehind.TURN_READS_MAX;
    for (const queueId of this.#waiting) {
      this.#waiting.delete(queueId);
      while (await this.#read(queueId, nowMs)) {
        if (--reads > 0) continue;
        this.#waiting.add(queueId);
        return;
      }
    }
  }

  /** It is gone, or another one in some way. */
  forget(queueId: number): void {
    this.#walks.delete(queueId);
    this.#waiting.delete(queueId);
  }

  /** Streams end without a word; what is known of them is bounded by how many queues there are. */
  forgetGone(): void {
    const { queues } = this.#partition;
    if (this.#walks.size <= queues.queueCount) return;
    for (const queueId of this.#walks.keys()) if (queues.queue(queueId) === undefined) this.forget(queueId);
  }

  /** Once; false when there is nothing to be read for now. */
  async #read(queueId: number, nowMs: number): Promise<boolean> {
    const queue = this.#partition.queues.queue(queueId);
    const walk = this.#walks.get(queueId);
    if (queue === undefined || walk === undefined || !this.#partition.leads) return false;
    walk.frontier = Math.max(walk.frontier, queue.head);
    walk.stretches = walk.stretches.filter(({ to }) => to > queue.head);
    const stretch = walk.under?.stretch ?? walk.stretches.find(({ dueMs }) => dueMs <= nowMs);
    if (stretch !== undefined) {
      walk.under ??= { stretch, at: stretch.from, dueMs: Number.POSITIVE_INFINITY, reads: 0 };
      await this.#again(queueId, walk, walk.under, nowMs);
      return true;
    }
    if (walk.frontier >= queue.tail || walk.frontierMs > nowMs) return false;
    await this.#further(queueId, walk, nowMs);
    return true;
  }

  /** Rows of which something has died. */
  async #again(queueId: number, walk: Walk, under: Under, nowMs: number): Promise<void> {
    const { stretch } = under;
    const rows = await this.#rowsFrom(queueId, under.at);
    const within = rows.filter(({ base }) => base < stretch.to);
    under.dueMs = Math.min(under.dueMs, await this.#drop(queueId, within, nowMs));
    under.reads++;
    const last = rows.at(-1);
    under.at = last === undefined ? stretch.to : last.base + last.count;
    if (under.at < stretch.to) return;
    walk.under = undefined;
    stretch.dueMs = Math.max(under.dueMs, nowMs + under.reads * ExpiredBehind.AGAIN_MS);
    if (under.dueMs === Number.POSITIVE_INFINITY) walk.stretches = walk.stretches.filter((one) => one !== stretch);
  }

  /** Rows that were not looked at yet, as far as they have been there for a while. */
  async #further(queueId: number, walk: Walk, nowMs: number): Promise<void> {
    const from = walk.frontier;
    const beforeMs = nowMs - ExpiredBehind.SETTLED_MS;
    const rows = (await this.#rowsFrom(queueId, from)).filter(({ appendedAtMs }) => appendedAtMs <= beforeMs);
    const last = rows.at(-1);
    if (last === undefined) {
      walk.frontierMs = nowMs + ExpiredBehind.SETTLED_MS;
      return;
    }
    const dueMs = await this.#drop(queueId, rows, nowMs);
    walk.frontier = last.base + last.count;
    if (dueMs === Number.POSITIVE_INFINITY) return;
    walk.stretches.push({ from, to: walk.frontier, dueMs });
    if (walk.stretches.length > ExpiredBehind.STRETCHES_MAX) walk.stretches = inPairs(walk.stretches);
  }

  #rowsFrom(queueId: number, from: number): Promise<IndexRow[]> {
    const { READ_ROWS_MAX, READ_RECORDS_MAX } = ExpiredBehind;
    return this.#partition.index.rowsFrom(queueId, from, READ_ROWS_MAX, READ_RECORDS_MAX);
  }

  /** What is dead in these rows. Returns when something else in them will be. */
  async #drop(queueId: number, rows: readonly IndexRow[], nowMs: number): Promise<number> {
    const partition = this.#partition;
    const held = await heldRecordsOf(partition, queueId);
    const rowBases: number[] = [];
    const parts: SettleRow[] = [];
    let dueMs = Number.POSITIVE_INFINITY;
    for (const row of rows) {
      const expired: number[] = [];
      let lives = false;
      for (let offset = row.nextLive(row.base); offset !== -1; offset = row.nextLive(offset + 1)) {
        const expiresAtMs = row.expiresAtMsOf(offset);
        const isDead = expiresAtMs !== 0 && expiresAtMs <= nowMs;
        const isHeld = isDead && held.isHeld(row, offset);
        if (isDead && !isHeld) {
          expired.push(offset);
          continue;
        }
        lives = true;
        if (expiresAtMs !== 0) dueMs = Math.min(dueMs, isHeld ? nowMs + held.againMs : expiresAtMs);
      }
      if (expired.length === 0) continue;
      if (lives) parts.push({ queueId, rowBase: row.base, expired: toRanges(expired) });
      else rowBases.push(row.base);
    }
    if (rowBases.length > 0) {
      const reply = await partition.execute({ type: 'drop-rows', queueId, reason: 'expired', rowBases });
      if (reply?.type !== 'dropped') return nowMs;
    }
    if (parts.length > 0) {
      const reply = await partition.execute({ type: 'settle', rows: parts });
      if (reply?.type !== 'settled') return nowMs;
      if (isStream(queueId)) partition.sessions.rowsDropped(queueId);
      else partition.dispatches.get(queueId)?.rowsDropped();
    }
    return dueMs;
  }
}

interface Walk {
  /** Of rows that have been looked at, those in which something will have died; ascending. */
  stretches: Stretch[];
  /** Rows from there on were not looked at. */
  frontier: number;
  /** When they are to be looked at: those there were, were new. */
  frontierMs: number;
  /** Being walked again. */
  under: Under | undefined;
}

interface Stretch {
  readonly from: number;
  readonly to: number;
  dueMs: number;
}

interface Under {
  readonly stretch: Stretch;
  at: number;
  /** Of what was read of it. */
  dueMs: number;
  reads: number;
}

function inPairs(stretches: readonly Stretch[]): Stretch[] {
  const pairs: Stretch[] = [];
  for (let i = 0; i < stretches.length; i += 2) {
    const first = stretches[i] as Stretch;
    const second = stretches[i + 1] ?? first;
    pairs.push({ from: first.from, to: second.to, dueMs: Math.min(first.dueMs, second.dueMs) });
  }
  return pairs;
}
