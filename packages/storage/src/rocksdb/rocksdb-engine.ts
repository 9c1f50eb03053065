import { assert } from '@sluice/common/assert';
import { SluiceError } from '@sluice/common/errors';
import type { Metrics } from '@sluice/common/metrics';
import type { Engine, KeyValue, KeyValueWrite, SnapshotScan } from '../engine.ts';
import { type Shortage, shortageOf } from '../shortage.ts';
import { DamageNote } from './damage-note.ts';
import type { RocksDbIterator, RocksDbRange } from './rocksdb-binding.ts';
import { stateDamaged, stateLost } from './rocksdb-errors.ts';
import { RocksDbHandle } from './rocksdb-handle.ts';
import { collectRocksDbMetrics } from './rocksdb-metrics.ts';
import { SCAN_AHEAD_BYTES } from './rocksdb-options.ts';
import { bufferOf, SealedBatch } from './sealed-batch.ts';
import { openValue, SEAL_BYTES } from './sealed-value.ts';
import { TableSums } from './table-sums.ts';
import { RESERVED_BYTE, RING_FROM, RING_TO, RingCheck, ringKey, ringValue } from './write-ring.ts';

/** How often new table files are looked for. */
const NOTE_TABLES_MS = 10_000;

/** Rows of a large write that are encoded and sealed in one go: some two milliseconds, then others have their turn. */
const ENCODE_ROWS = 512;

/** Ranges of fewer rows are deleted like any row: a compaction writes whole files to give back a few bytes. */
const COMPACT_FROM_ROWS = 1000;

/**
 * @throws SluiceError `STATE_DAMAGED`: remove the directory and rebuild; `STATE_LOCKED`: another process has it
 */
export async function openRocksDbEngine(directory: string, metrics?: Metrics): Promise<Engine> {
  // What may end the process when RocksDB reads it must be known before.
  const note = new DamageNote(directory);
  const sums = new TableSums(directory);
  const found = await note.read();
  if (found !== undefined) throw stateDamaged(directory, `an earlier run found: ${found}`);
  const table = await sums.damagedTable();
  if (table !== undefined) throw stateDamaged(directory, `${table} has other bytes than were written`);
  const handle = await RocksDbHandle.open(directory);
  const engine = new RocksDbEngine(directory, handle, note, sums);
  try {
    await engine.checkRing();
    engine.beginNoting();
    if (metrics !== undefined) collectRocksDbMetrics(metrics, (name) => handle.property(name));
  } catch (error) {
    await engine.close();
    throw error;
  }
  return engine;
}

/** RocksDB behind the engine port, kept from the calls that would end the process. */
class RocksDbEngine implements Engine {
  readonly #directory: string;
  readonly #db: RocksDbHandle;
  readonly #note: DamageNote;
  readonly #sums: TableSums;
  #noting: NodeJS.Timeout | undefined;
  #noted: Promise<void> = Promise.resolve();
  readonly #running = new Set<Promise<unknown>>();
  #writes: Promise<unknown> = Promise.resolve();
  #clears: Promise<unknown> = Promise.resolve();
  #sequence = 0;
  /** What a write did not find: the next one opens the database anew first. */
  #shortage: Shortage | undefined;
  #closed: Promise<void> | undefined = undefined;

  constructor(directory: string, db: RocksDbHandle, note: DamageNote, sums: TableSums) {
    this.#directory = directory;
    this.#db = db;
    this.#note = note;
    this.#sums = sums;
  }

  /** Keeps the checksums of table files up to date. */
  beginNoting(): void {
    this.#noting = setInterval(() => {
      this.#noted = this.#noted.then(() => this.#sums.note(false)).catch(() => {});
    }, NOTE_TABLES_MS);
    this.#noting.unref();
  }

  async checkRing(): Promise<void> {
    const check = new RingCheck();
    for await (const rows of this.snapshotScan(RING_FROM, RING_TO, 1000)) for (const row of rows) check.add(row);
    const missing = check.missing();
    if (missing !== undefined) {
      throw stateDamaged(this.#directory, `write ${missing} is gone while write ${check.last} is there`);
    }
    this.#sequence = check.last;
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return (await this.getMany([key]))[0];
  }

  getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return this.#run(async () => {
      if (keys.length === 0) return [];
      const buffers = keys.map(bufferOf);
      const found = await this.#db.call<(Buffer | undefined)[]>((db, done) =>
        db.getMany(buffers, { asBuffer: true, fillCache: true }, done),
      );
      return found.map((sealed, i) => (sealed === undefined ? undefined : this.#open(buffers[i] as Buffer, sealed)));
    });
  }

  /** One at a time: only then is a gap in their numbers a loss, see `write-ring`. */
  write(batch: readonly KeyValueWrite[], options: { sync: boolean }): Promise<void> {
    return this.#run(async () => {
      if (batch.length === 0 && !options.sync) return;
      const written = this.#writes.then(() => this.#write(batch, options.sync));
      this.#writes = written.catch(() => {});
      await written;
    });
  }

  async #write(batch: readonly KeyValueWrite[], sync: boolean): Promise<void> {
    if (this.#shortage !== undefined) await this.#recover(this.#shortage);
    try {
      await this.#writeOnce(batch, sync);
    } catch (cause) {
      this.#shortage = shortageOf(cause) ?? this.#shortage;
      throw cause;
    }
  }

  /** After a shortage: opens the database anew, and checks that it has everything that was written before. */
  async #recover(shortage: Shortage): Promise<void> {
    await this.#db.reopen(shortage);
    const expected = this.#sequence;
    await this.checkRing();
    if (this.#sequence < expected) throw stateLost(this.#directory, expected, this.#sequence);
    this.#shortage = undefined;
  }

  async #writeOnce(batch: readonly KeyValueWrite[], sync: boolean): Promise<void> {
    let sizeBytes = SEAL_BYTES + 8;
    for (const row of batch) {
      const first = row.id === undefined ? row.key[0] : row.id.charCodeAt(0);
      assert(first !== undefined && first < RESERVED_BYTE, 'keys are not empty, and 0xff starts those of the engine');
      if (row.value !== undefined) sizeBytes += SEAL_BYTES + row.value.length;
    }
    const sealed = Buffer.allocUnsafe(sizeBytes);
    const sequence = this.#sequence + 1;
    await this.#db.call<void>((db, done) => {
      const changes = new SealedBatch(db.batch(), sealed);
      const encode = (from: number): void => {
        try {
          const to = Math.min(from + ENCODE_ROWS, batch.length);
          for (let i = from; i < to; i++) changes.add(batch[i] as KeyValueWrite);
          if (to < batch.length) {
            setImmediate(encode, to);
            return;
          }
          changes.put(ringKey(sequence), ringValue(sequence));
          changes.write(sync, done);
        } catch (cause) {
          // Whoever waits for this write must hear of it, in whichever turn it fails.
          done(cause as Error);
        }
      };
      encode(0);
    });
    // After a failed write the number may stand on the disk or not: the next write takes the same.
    this.#sequence = sequence;
  }

  scan(from: Uint8Array, to: Uint8Array, limit: number): Promise<KeyValue[]> {
    return this.#run(async () => {
      if (limit <= 0) return [];
      const iterator = await this.#db.iterateSoon(rangeOf(from, to, limit, true));
      try {
        return await this.#take(iterator, limit, true);
      } finally {
        await this.#db.end(iterator);
      }
    });
  }

  snapshotScan(from: Uint8Array, to: Uint8Array, chunkRows: number): SnapshotScan {
    this.#assertOpen();
    // Made now: the view is that of the call, not of the first step.
    const iterator = this.#db.iterate(rangeOf(from, to, -1, false));
    const chunks = this.#chunks(iterator, chunkRows);
    return { [Symbol.asyncIterator]: () => chunks, end: () => this.#db.end(iterator) };
  }

  async *#chunks(iterator: RocksDbIterator, chunkRows: number): AsyncGenerator<KeyValue[]> {
    try {
      for (;;) {
        const rows = await this.#run(() => this.#take(iterator, chunkRows, true));
        if (rows.length > 0) yield rows;
        if (rows.length < chunkRows) return;
      }
    } finally {
      // After a close it is gone already.
      await this.#db.end(iterator);
    }
  }

  clearRange(from: Uint8Array, to: Uint8Array): Promise<void> {
    return this.#run(() => {
      const cleared = this.#clears.then(() => this.#clear(bufferOf(from), bufferOf(to)));
      this.#clears = cleared.catch(() => {});
      return cleared;
    });
  }

  /**
   * Resolves when the rows are gone for good: large ranges are deleted beside the numbered writes, so it waits until the
   * compaction has put that into table files.
   */
  async #clear(from: Buffer, to: Buffer): Promise<void> {
    const iterator = await this.#db.iterateSoon(rangeOf(from, to, COMPACT_FROM_ROWS, false));
    let rows: KeyValue[];
    try {
      rows = await this.#take(iterator, COMPACT_FROM_ROWS, false);
    } finally {
      await this.#db.end(iterator);
    }
    if (rows.length < COMPACT_FROM_ROWS) {
      const deletes = rows.map(({ key }) => ({ key, value: undefined }));
      const written = this.#writes.then(() => this.#write(deletes, false));
      this.#writes = written.catch(() => {});
      return written;
    }
    await this.#db.call<void>((db, done) => db.clear({ gte: from, lt: to }, done));
    await this.#db.call<void>((db, done) => db.compactRange(from, to, done));
  }

  /** Waits for what runs, then ends what is open. Calls from now on are bugs. */
  close(): Promise<void> {
    this.#closed ??= (async () => {
      while (this.#running.size > 0) await Promise.allSettled([...this.#running]);
      clearInterval(this.#noting);
      await this.#noted;
      await this.#db.close();
      // Only of an engine that was opened for good. A full disk may refuse it: the tables are noted another time.
      if (this.#noting !== undefined) await this.#sums.note(true).catch(() => {});
      await this.#note.written();
    })();
    return this.#closed;
  }

  #assertOpen(): void {
    assert(this.#closed === undefined, 'nobody may use an engine that was closed: the native code would crash');
  }

  /** Runs an operation that the close must wait for. */
  async #run<T>(operation: () => Promise<T>): Promise<T> {
    this.#assertOpen();
    const running = operation();
    this.#running.add(running);
    try {
      return await running;
    } catch (cause) {
      if (cause instanceof SluiceError && cause.code === 'STATE_DAMAGED') this.#note.write(cause.message);
      throw cause;
    } finally {
      this.#running.delete(running);
    }
  }

  /** Up to `count` rows; fewer at the end of the range. */
  async #take(iterator: RocksDbIterator, count: number, verified: boolean): Promise<KeyValue[]> {
    const rows: KeyValue[] = [];
    const add = (key: Buffer, sealed: Buffer) => rows.push({ key, value: verified ? this.#open(key, sealed) : sealed });
    while (rows.length < count) {
      const { cache } = iterator;
      const key = cache?.pop();
      const sealed = cache?.pop();
      if (key !== undefined && sealed !== undefined) {
        add(key, sealed);
        continue;
      }
      const more = await this.#db.next(iterator);
      if (more === undefined) break;
      add(more.key, more.sealed);
    }
    return rows;
  }

  #open(key: Buffer, sealed: Buffer): Uint8Array {
    const value = openValue(key, sealed);
    if (value === undefined) {
      throw stateDamaged(this.#directory, `the row of key ${key.toString('hex')} does not match its checksum`);
    }
    return value;
  }
}

function rangeOf(from: Uint8Array, to: Uint8Array, limit: number, fillCache: boolean): RocksDbRange {
  return { gte: bufferOf(from), lt: bufferOf(to), limit, values: true, fillCache, highWaterMark: SCAN_AHEAD_BYTES };
}
