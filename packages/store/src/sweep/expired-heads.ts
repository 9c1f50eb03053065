import type { QueueState } from '@sluice/queue/machine/queue-state';
import type { IndexRow } from '@sluice/queue/machine/row/index-row';
import type { Partition } from '../partition/partition.ts';
import { type HeldRecords, heldRecordsOf } from './held-records.ts';

/**
 * Message expiry acts when a record is to be handed out; of a queue without consumers nothing ever is. Its dead would count
 * as depth and as lag, and fill it up: a queue of a hundred messages at most that live for a minute would refuse everything
 * for a week. An index by expiry would be a row more for each message. But messages of one queue mostly live for the same
 * time, and then the oldest die first: so the head is looked at, and what is dead there goes, row by row, up to the first
 * that is not.
 *
 * What is dead behind one that lives is looked for in another way (`expired-behind`). What somebody holds, or may hold as
 * far as a new leader knows, stays (`held-records`).
 */
export class ExpiredHeads {
  readonly #partition: Partition;
  readonly #lives: (queueId: number, head: IndexRow) => void;
  /** By queue id: the head that was looked at, and when it is looked at again, if it is the head still. */
  readonly #looked = new Map<number, { head: number; againMs: number }>();

  /** Read, and dropped with one command. */
  static readonly STEP_ROWS = 64;
  /** Of one queue at a time; what is left then is dropped with the next look. */
  static readonly STEPS_MAX = 16;
  /** Of a row that lives by a part of it, which may be settled meanwhile. */
  static readonly AGAIN_MS = 60_000;

  /** `lives`: the head that was found is not dead, or not all of it, or is held. */
  constructor(partition: Partition, lives: (queueId: number, head: IndexRow) => void) {
    this.#partition = partition;
    this.#lives = lives;
  }

  /** Asked of every queue that holds something, of which most have nothing to be looked for. */
  isDue({ queueId, head }: Readonly<Pick<QueueState, 'queueId' | 'head'>>, nowMs: number): boolean {
    const looked = this.#looked.get(queueId);
    return looked === undefined || looked.head !== head || nowMs >= looked.againMs;
  }

  /** Of one that is due; the partition is led here. */
  async look(queueId: number, nowMs: number): Promise<void> {
    const partition = this.#partition;
    for (let step = 0; step < ExpiredHeads.STEPS_MAX; step++) {
      const head = partition.queues.queue(queueId)?.head;
      if (head === undefined || !partition.leads) return;
      const atHand = partition.index.recent(queueId, head);
      const rows = atHand === undefined ? await partition.index.rowsFrom(queueId, head, 1) : [atHand];
      const [first] = rows;
      if (first === undefined) return;
      const deadFromMs = deadFrom(first);
      if (deadFromMs > nowMs) {
        const againMs = isAnyMortal(first) ? Math.min(deadFromMs, nowMs + ExpiredHeads.AGAIN_MS) : deadFromMs;
        this.#looked.set(queueId, { head, againMs });
        this.#lives(queueId, first);
        return;
      }
      const againMs = await this.#drop(queueId, head, nowMs);
      if (againMs === 0) continue;
      // As soon as it is gone another one is the head, and looked at.
      if (againMs !== undefined) this.#looked.set(queueId, { head, againMs });
      this.#lives(queueId, first);
      return;
    }
  }

  /** It is gone, or another one in some way. */
  forget(queueId: number): void {
    this.#looked.delete(queueId);
  }

  /** Streams end without a word; what is known of them is bounded by how many queues there are. */
  forgetGone(): void {
    const { queues } = this.#partition;
    if (this.#looked.size <= queues.queueCount) return;
    for (const queueId of this.#looked.keys()) if (queues.queue(queueId) === undefined) this.#looked.delete(queueId);
  }

  /** 0: there may be more to be dropped; undefined: not for now. Otherwise the first of them is held, and until when to leave it. */
  async #drop(queueId: number, from: number, nowMs: number): Promise<number | undefined> {
    const partition = this.#partition;
    const rows = await partition.index.rowsFrom(queueId, from, ExpiredHeads.STEP_ROWS);
    const held = await heldRecordsOf(partition, queueId);
    const rowBases: number[] = [];
    for (const row of rows) {
      if (deadFrom(row) > nowMs || isAnyHeld(row, held)) break;
      rowBases.push(row.base);
    }
    const [first] = rows;
    if (first === undefined || !partition.leads) return undefined;
    if (rowBases.length === 0) return isAnyHeld(first, held) ? nowMs + held.againMs : undefined;
    const reply = await partition.execute({ type: 'drop-rows', queueId, reason: 'expired', rowBases });
    return reply?.type === 'dropped' && rowBases.length === rows.length ? 0 : undefined;
  }
}

/** From when on nothing in it lives any more. */
function deadFrom(row: IndexRow): number {
  let latestMs = 0;
  for (let offset = row.nextLive(row.base); offset !== -1; offset = row.nextLive(offset + 1)) {
    const expiresAtMs = row.expiresAtMsOf(offset);
    if (expiresAtMs === 0) return Number.POSITIVE_INFINITY;
    if (expiresAtMs > latestMs) latestMs = expiresAtMs;
  }
  return latestMs;
}

function isAnyMortal(row: IndexRow): boolean {
  for (let offset = row.nextLive(row.base); offset !== -1; offset = row.nextLive(offset + 1)) {
    if (row.expiresAtMsOf(offset) !== 0) return true;
  }
  return false;
}

function isAnyHeld(row: IndexRow, held: HeldRecords): boolean {
  for (let offset = row.nextLive(row.base); offset !== -1; offset = row.nextLive(offset + 1)) {
    if (held.isHeld(row, offset)) return true;
  }
  return false;
}
