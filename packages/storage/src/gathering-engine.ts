import { assert } from '@sluice/common/assert';
import type { Engine, KeyValue, KeyValueWrite, SnapshotScan } from './engine.ts';
import { GatheredRows, type RowMerge } from './gathered-rows.ts';
import { type Shortage, shortageOf } from './shortage.ts';

/**
 * Gathers small unsynced writes in front of an engine and hands them on together.
 *
 * A node that applies one message at a time writes a batch of half a dozen rows for each, and most of them are the same
 * rows again: the counters of the queue, the applied index, the end of the log. In RocksDB each batch is a trip to
 * another thread, a system call and a checksum a row; here a row that is written again before `LINGER_MS` are over is
 * written once. Who reads sees what was written, from the first moment: rows that are gathered or on their way come from
 * here, also in scans. A row that was new and is deleted within that time is not written at all: what is published and
 * accepted meanwhile leaves no trace in the engine.
 *
 * What the port promises stays true: a crash loses the last writes, never one and not a later one. All that was gathered
 * goes down as one atomic batch. A crash of the process, too, loses what waits now; whoever writes without sync can make
 * his rows again.
 *
 * Bound: `ROWS_MAX` and `BYTES_MAX` that wait, and as much on its way. Beyond it a write waits, and when the disk is full it
 * is refused as the engine refuses it, without having been taken.
 */
export class GatheringEngine implements Engine {
  readonly #engine: Engine;
  #waiting = new GatheredRows();
  /** What the write under way writes. */
  #leaving: GatheredRows | undefined;
  #written: Promise<void> | undefined;
  /** Writes that could not be taken at once, in their order. */
  #queue: Promise<unknown> = Promise.resolve();
  #queued = 0;
  #timer: NodeJS.Timeout | undefined;
  #shortage: Shortage | undefined;
  /** The engine failed in another way than for want of space or descriptors. */
  #failed: Error | undefined;
  #failureListener: (cause: Error) => void = () => {};
  #closed: Promise<void> | undefined;

  /** Of ten thousand queues used in turn, at forty thousand messages a second, each has its row written twice. */
  static readonly LINGER_MS = 400;
  /** What that many queues write meanwhile; some ten megabytes with all that a row in memory needs. */
  static readonly ROWS_MAX = 32_768;
  static readonly BYTES_MAX = 4 * 1024 * 1024;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** What the engine lacks for what was taken; it is asked again. */
  get shortage(): Shortage | undefined {
    return this.#shortage;
  }

  /** Told once, when what was taken cannot be written and never will be. */
  onFailure(listener: (cause: Error) => void): void {
    this.#failureListener = listener;
  }

  async write(batch: readonly KeyValueWrite[], { sync }: { sync: boolean }): Promise<void> {
    this.#assertOpen();
    for (let i = 0; i < batch.length; i++) {
      const row = batch[i] as KeyValueWrite;
      // Not 0xff and not NaN, which is no byte at all.
      const first = row.id === undefined ? row.key[0] : row.id.charCodeAt(0);
      assert(first !== undefined && first < 0xff, 'keys are not empty, and 0xff is reserved');
    }
    if (this.#queued === 0 && !sync && !this.#isOver && this.#failed === undefined) {
      this.#take(batch);
      return;
    }
    this.#queued++;
    const taken = this.#queue.then(() => this.#takeLater(batch, sync));
    this.#queue = taken.catch(() => {});
    await taken.finally(() => this.#queued--);
  }

  get #isOver(): boolean {
    return this.#waiting.size >= GatheringEngine.ROWS_MAX || this.#waiting.bytes >= GatheringEngine.BYTES_MAX;
  }

  async #takeLater(batch: readonly KeyValueWrite[], sync: boolean): Promise<void> {
    while (this.#isOver) {
      if (this.#written === undefined) await this.#leave(false);
      else await this.#written;
    }
    if (this.#failed !== undefined) throw this.#failed;
    if (!sync) this.#take(batch);
    else {
      this.#waiting.add(batch);
      await this.#flush(true);
    }
  }

  #take(batch: readonly KeyValueWrite[]): void {
    this.#waiting.add(batch);
    if (this.#waiting.size === 0) return;
    if (this.#isOver && this.#written === undefined) this.#leave(false).catch(() => {});
    else this.#leaveSoon();
  }

  #leaveSoon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      if (this.#written === undefined) this.#leave(false).catch(() => {});
      else this.#leaveSoon();
    }, GatheringEngine.LINGER_MS);
    this.#timer.unref();
  }

  /** Hands on what waits; nothing else may be on its way. Rows that the engine did not take wait again. */
  #leave(sync: boolean): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const leaving = this.#waiting;
    this.#leaving = leaving;
    this.#waiting = new GatheredRows();
    const ended = (): void => {
      this.#leaving = undefined;
      this.#written = undefined;
    };
    const landed = (): void => {
      ended();
      this.#shortage = undefined;
    };
    this.#written = this.#engine.write(leaving.writes(), { sync }).then(landed, (cause: Error) => {
      leaving.addAll(this.#waiting);
      this.#waiting = leaving;
      ended();
      this.#refused(cause);
      throw cause;
    });
    return this.#written;
  }

  #refused(cause: Error): void {
    const shortage = shortageOf(cause);
    if (shortage !== undefined) {
      this.#shortage = shortage;
      this.#leaveSoon();
    } else if (this.#failed === undefined) {
      this.#failed = cause;
      this.#failureListener(cause);
    }
  }

  async #flush(sync: boolean): Promise<void> {
    while (this.#written !== undefined) await this.#written.catch(() => {});
    if (sync || this.#waiting.size > 0) await this.#leave(sync);
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return (await this.getMany([key]))[0];
  }

  async getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    this.#assertOpen();
    const values: (Uint8Array | undefined)[] = [];
    const asked: Uint8Array[] = [];
    const places: number[] = [];
    for (const [place, key] of keys.entries()) {
      const rows = this.#waiting.has(key) ? this.#waiting : this.#leaving?.has(key) ? this.#leaving : undefined;
      values.push(rows?.get(key));
      if (rows !== undefined) continue;
      asked.push(key);
      places.push(place);
    }
    if (asked.length === 0) return values;
    const found = await this.#engine.getMany(asked);
    for (const [i, place] of places.entries()) values[place] = found[i];
    return values;
  }

  /** What is gathered of a range, as of now. */
  #gathered(from: Uint8Array, to: Uint8Array): RowMerge {
    return this.#waiting.range(from, to, this.#leaving);
  }

  async scan(from: Uint8Array, to: Uint8Array, limit: number): Promise<KeyValue[]> {
    this.#assertOpen();
    const merge = this.#gathered(from, to);
    if (merge.size === 0 || limit <= 0) return await this.#engine.scan(from, to, limit);
    // As many more as may turn out to be deleted: then what is left behind the last of a full answer is beyond the limit.
    const asked = Math.min(limit + merge.deletions, Number.MAX_SAFE_INTEGER);
    const stored = await this.#engine.scan(from, to, asked);
    const rows: KeyValue[] = [];
    for (const row of stored) {
      if (rows.length >= limit) return rows;
      merge.next(row, rows, limit);
    }
    merge.rest(rows, limit);
    return rows;
  }

  snapshotScan(from: Uint8Array, to: Uint8Array, chunkRows: number): SnapshotScan {
    this.#assertOpen();
    const stored = this.#engine.snapshotScan(from, to, chunkRows);
    const merge = this.#gathered(from, to);
    if (merge.size === 0) return stored;
    const assertOpen = (): void => this.#assertOpen();
    const chunks = (async function* () {
      assertOpen();
      let rows: KeyValue[] = [];
      for await (const chunk of stored) {
        for (const row of chunk) merge.next(row, rows, Number.POSITIVE_INFINITY);
        while (rows.length >= chunkRows) yield rows.splice(0, chunkRows);
      }
      merge.rest(rows, Number.POSITIVE_INFINITY);
      for (; rows.length > 0; rows = rows.slice(chunkRows)) yield rows.slice(0, chunkRows);
    })();
    return { [Symbol.asyncIterator]: () => chunks, end: () => stored.end() };
  }

  async clearRange(from: Uint8Array, to: Uint8Array): Promise<void> {
    this.#assertOpen();
    await this.#flush(false);
    await this.#engine.clearRange(from, to);
  }

  close(): Promise<void> {
    this.#closed ??= (async () => {
      await this.#queue;
      // What a full disk refuses can be made again, as after a crash.
      await this.#flush(false).catch(() => {});
      clearTimeout(this.#timer);
      await this.#engine.close();
    })();
    return this.#closed;
  }

  #assertOpen(): void {
    assert(this.#closed === undefined, 'nobody may use an engine that was closed');
  }
}
