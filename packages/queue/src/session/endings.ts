import type { Rows } from '../machine/row/rows.ts';
import { decodePortionRow, encodePortionRow, portionOf } from './ending-rows.ts';
import { portionRowKey } from './row-keys.ts';
import type { SessionEffect } from './session-reply.ts';

/**
 * Sessions that are over and not taken apart yet. A thousand streams that end in the entry that ends their session are
 * one turn of every replica's event loop, for which everybody waits. So that entry only sets down what the session read,
 * in portions, under the epoch that nobody has any more: the session is over then, for whoever asks. What is left of it,
 * cursors and places in streams, goes a portion an entry, as the leader proposes it; whoever leads next goes on.
 *
 * A portion is a row that is written once and deleted with what it names, so one that is proposed twice ends once.
 *
 * Resident: some hundred bytes an ending and its client id, `ENDINGS_MAX` of them. Who ends beyond that ends in one entry.
 */
export class Endings {
  /** Parts that are left, by the epoch of the session. */
  readonly #byNumber = new Map<number, Ending>();
  readonly #portionStreams: number;

  /** What an entry says depends on both: others are another version of the machine. */
  static readonly PORTION_STREAMS = 128;
  static readonly ENDINGS_MAX = 1_024;

  /** `portionStreams`: fewer than `PORTION_STREAMS` where a whole cluster of small sessions is to end in portions, by all its replicas. */
  constructor(portionStreams: number) {
    this.#portionStreams = portionStreams;
  }

  restore(key: Uint8Array, value: Uint8Array): void {
    const { number, part } = portionOf(key);
    const ending = this.#byNumber.get(number);
    if (ending === undefined) {
      const { clientId } = decodePortionRow(value);
      this.#byNumber.set(number, { number, clientId, parts: new Set([part]) });
    } else ending.parts.add(part);
  }

  get count(): number {
    return this.#byNumber.size;
  }

  /** What is to go next; undefined: nothing is left of anybody. */
  next(): Portion | undefined {
    for (const { number, clientId, parts } of this.#byNumber.values()) {
      for (const part of parts) return { number, clientId, part };
    }
    return undefined;
  }

  /** A session of so many streams is worth it, and there is room. */
  takes(streams: number): boolean {
    return streams > this.#portionStreams && this.#byNumber.size < Endings.ENDINGS_MAX;
  }

  begin(number: number, clientId: string, streamIds: readonly number[], rows: Rows, effects: SessionEffect[]): void {
    const parts = new Set<number>();
    for (let from = 0; from < streamIds.length; from += this.#portionStreams) {
      const row = { clientId, streamIds: streamIds.slice(from, from + this.#portionStreams) };
      rows.put(portionRowKey(number, parts.size), encodePortionRow(row));
      parts.add(parts.size);
    }
    this.#byNumber.set(number, { number, clientId, parts });
    effects.push({ type: 'session-ending' });
  }

  /** The streams of this portion, which is no more; undefined: it was taken before. */
  take(number: number, part: number, rows: Rows): readonly number[] | undefined {
    const ending = this.#byNumber.get(number);
    if (ending?.parts.delete(part) !== true) return undefined;
    if (ending.parts.size === 0) this.#byNumber.delete(number);
    const key = portionRowKey(number, part);
    const { streamIds } = decodePortionRow(rows.get(key) as Uint8Array);
    rows.delete(key);
    return streamIds;
  }
}

/** One of what a session left. */
export interface Portion {
  /** The epoch of that session. */
  readonly number: number;
  readonly clientId: string;
  readonly part: number;
}

interface Ending {
  readonly number: number;
  readonly clientId: string;
  readonly parts: Set<number>;
}
