import type { Rows } from '../machine/row/rows.ts';
import { Cursor } from './cursor.ts';
import { cursorRowKey, streamRowKey } from './row-keys.ts';
import type { SessionEffect } from './session-reply.ts';
import { encodeCursorRow, encodeStreamRow, type StreamRow } from './session-rows.ts';
import { STREAM_ID_MIN } from './stream-id.ts';

/**
 * The streams of a partition's sessions, resident: one for each distinct filter. One begins with the first session that
 * reads it and ends with the last; a session that is being taken apart reads those that are left of it.
 */
export class Streams {
  readonly #host: StreamHost;
  readonly #draw: () => number;
  readonly #byFilter = new Map<string, StreamState>();
  readonly #byId = new Map<number, StreamState>();
  readonly #dirty = new Set<StreamState>();
  /** Counts their changes in this life of the machine. */
  #version = 0;

  /** Each is resident here and on every gateway. */
  static readonly STREAMS_MAX = 250_000;

  constructor(host: StreamHost, draw: () => number) {
    this.#host = host;
    this.#draw = draw;
  }

  restore(streamId: number, row: StreamRow): void {
    this.#keep({ streamId, ...row });
  }

  get version(): number {
    return this.#version;
  }
  get count(): number {
    return this.#byId.size;
  }

  all(): Iterable<Readonly<StreamState>> {
    return this.#byId.values();
  }

  get(streamId: number): Readonly<StreamState> | undefined {
    return this.#byId.get(streamId);
  }

  /** There is one for the filter, or one more may begin. */
  mayRead(filter: string): boolean {
    return this.#byFilter.has(filter) || this.#byId.size < Streams.STREAMS_MAX;
  }

  /** From its tail on. What an earlier session of this client left in it, and was not taken apart yet, is written over. */
  join(filter: string, clientId: string, limits: StreamBounds, rows: Rows, effects: SessionEffect[]): number {
    let stream = this.#byFilter.get(filter);
    if (stream === undefined) {
      stream = { streamId: STREAM_ID_MIN + this.#draw(), filter, sessions: 0 };
      this.#keep(stream);
      this.#host.begin(stream.streamId, filter, limits.countMax, limits.bytesMax);
      effects.push({ type: 'stream-added', streamId: stream.streamId, filter });
    }
    stream.sessions++;
    this.#dirty.add(stream);
    const { streamId } = stream;
    rows.put(cursorRowKey(streamId, clientId), encodeCursorRow(new Cursor(this.#host.tailOf(streamId))));
    return streamId;
  }

  leave(streamId: number, clientId: string, rows: Rows, effects: SessionEffect[]): void {
    rows.delete(cursorRowKey(streamId, clientId));
    this.release(streamId, effects);
  }

  /** One reader less; its cursor is another's by now, or gone. */
  release(streamId: number, effects: SessionEffect[]): void {
    const stream = this.#byId.get(streamId);
    if (stream === undefined) return;
    stream.sessions--;
    this.#dirty.add(stream);
    if (stream.sessions > 0) {
      effects.push({ type: 'stream-passed', streamId });
      return;
    }
    this.#version++;
    this.#byId.delete(streamId);
    this.#byFilter.delete(stream.filter);
    this.#host.end(streamId);
    effects.push({ type: 'stream-removed', streamId });
  }

  flush(rows: Rows): void {
    for (const stream of this.#dirty) {
      if (stream.sessions > 0) rows.put(streamRowKey(stream.streamId), encodeStreamRow(stream));
      else rows.delete(streamRowKey(stream.streamId));
    }
    // An old set that is emptied makes a table each time, empty or not, and keeps all of them until the next full collection.
    if (this.#dirty.size > 0) this.#dirty.clear();
  }

  #keep(stream: StreamState): void {
    this.#version++;
    this.#byFilter.set(stream.filter, stream);
    this.#byId.set(stream.streamId, stream);
  }
}

/** The queues that are streams, as the partition lets this machine act on them within one entry. */
export interface StreamHost {
  begin(streamId: number, filter: string, countMax: number | null, bytesMax: number | null): void;
  /** Nothing is stored in it from here on; its records are dropped in steps. */
  end(streamId: number): void;
  /** The offset of the next record. */
  tailOf(streamId: number): number;
}

export interface StreamState {
  streamId: number;
  filter: string;
  /** How many read it. */
  sessions: number;
}

/** Of a stream that begins; null: none. */
export interface StreamBounds {
  readonly countMax: number | null;
  readonly bytesMax: number | null;
}
