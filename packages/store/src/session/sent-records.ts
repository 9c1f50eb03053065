import type { Clock } from '@sluice/common/clock';
import type { Partition } from '../partition/partition.ts';
import type { HeldRecords } from '../sweep/held-records.ts';
import type { SessionFeed } from './session-feed.ts';
import type { SessionRowsReader } from './session-rows-reader.ts';

/**
 * Which records of streams a client may have been sent and has not answered: whoever has its session next sends them again
 * [MQTT-4.4.0-1], so they outlive their expiry. Of connected sessions their feeds know; of those that are away it is in the
 * log under which packet id they were sent, in a row each of few sessions. A table of all in memory would be kept for
 * the one moment in which something of a stream expires; so the rows are read then, once for all streams of a sweep. Who
 * leaves in the middle of that is noted.
 *
 * When gateways are yet to say what they have, after a change of leader or when the way to one broke, nothing is known.
 */
export class SentRecords {
  readonly #parts: SentRecordsParts;
  /** By stream, of the sweep under way: with clients that are away. Undefined: not asked for yet. */
  #away: Map<number, Set<number>> | undefined;
  #isRead = false;
  #unheardUntilMs = 0;
  #readAgainMs = 0;

  /** What a client that is away was sent is looked at again: it may be back. */
  static readonly AGAIN_MS = 60_000;
  /** From one reading of the rows to the next, for each page of them. */
  static readonly PAGE_AGAIN_MS = 1_000;

  constructor(parts: SentRecordsParts) {
    this.#parts = parts;
  }

  /** Gateways have something that their sessions are not attached with. */
  unheard(): void {
    this.#unheardUntilMs = this.#parts.clock.monotonicMs() + this.#parts.unheardMs;
  }

  /** The session is not attached any more; its gateway may have said what it leaves, after the rows were read. */
  left(feed: SessionFeed): void {
    if (this.#away === undefined) return;
    for (const streamId of feed.streamIds)
      for (const offset of feed.outstandingOf(streamId)) this.#note(streamId, offset);
  }

  async of(streamId: number): Promise<HeldRecords> {
    if (!(await this.#isKnown())) return ALL_HELD;
    const sent = new Set(this.#away?.get(streamId));
    for (const feed of this.#parts.feedsOf(streamId)) {
      for (const offset of feed.outstandingOf(streamId)) sent.add(offset);
    }
    return { isHeld: (_row, offset) => sent.has(offset), againMs: SentRecords.AGAIN_MS };
  }

  turnEnded(): void {
    this.#away = undefined;
    this.#isRead = false;
  }

  async #isKnown(): Promise<boolean> {
    if (this.#isUnheard) return false;
    // Once a sweep: where it failed, all that is asked for counts as sent until the next one.
    if (this.#away === undefined) await this.#read();
    return this.#isRead && !this.#isUnheard;
  }

  get #isUnheard(): boolean {
    return this.#parts.clock.monotonicMs() < this.#unheardUntilMs;
  }

  async #read(): Promise<void> {
    const { clock, partition, rows } = this.#parts;
    this.#away = new Map();
    if (clock.monotonicMs() < this.#readAgainMs || !(await partition.written())) return;
    let pages = 0;
    for await (const page of rows.boundIds()) {
      if (!partition.leads) return;
      for (const { streamId, offset } of page) this.#note(streamId, offset);
      pages++;
    }
    this.#isRead = true;
    this.#readAgainMs = clock.monotonicMs() + (pages - 1) * SentRecords.PAGE_AGAIN_MS;
  }

  #note(streamId: number, offset: number): void {
    const noted = this.#away?.get(streamId);
    if (noted === undefined) this.#away?.set(streamId, new Set([offset]));
    else noted.add(offset);
  }
}

export interface SentRecordsParts {
  readonly partition: Pick<Partition, 'leads' | 'written'>;
  readonly rows: Pick<SessionRowsReader, 'boundIds'>;
  readonly clock: Clock;
  /** How long a gateway is given to come for its sessions. */
  readonly unheardMs: number;
  feedsOf(streamId: number): Iterable<SessionFeed>;
}

const ALL_HELD: HeldRecords = { isHeld: () => true, againMs: SentRecords.PAGE_AGAIN_MS };
