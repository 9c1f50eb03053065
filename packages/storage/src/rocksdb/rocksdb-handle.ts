import { readdir, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { assert } from '@sluice/common/assert';
import { systemClock } from '@sluice/common/clock';
import type { SluiceError } from '@sluice/common/errors';
import type { Shortage } from '../shortage.ts';
import { makeRocksDb, type RocksDb, type RocksDbIterator, type RocksDbRange } from './rocksdb-binding.ts';
import { rocksDbError, rocksDbOpenError, stateFull, stateOutOfFiles } from './rocksdb-errors.ts';
import { ROCKSDB_OPTIONS } from './rocksdb-options.ts';

/** An open writes a manifest, and what it replays from the write-ahead log, before anything else. */
const OPEN_BYTES = 1024 * 1024;
/** Whatever fills a disk often goes on: a database that was closed for room that vanished could not even read. */
const ROOM_STEADY_MS = 1_000;

/**
 * The native database, which may be replaced under its users. After a write met a full disk RocksDB takes no more of
 * them until it was opened anew, and the binding cannot ask for less. It still reads, so it is given up only when there
 * is room to open it again; readers wait for that moment, and a scan that was under way ends with an error.
 */
export class RocksDbHandle {
  readonly directory: string;
  #db: RocksDb;
  /** False when it was closed for a reopen that failed. */
  #isOpen = true;
  /** Being closed, or closed. */
  #isShutting = false;
  #reopening: Promise<void> | undefined;
  /** What the last reopen was for. */
  #after: Shortage = 'space';
  readonly #roomSteadyMs: number;
  #roomSinceMs: number | undefined;
  readonly #calls = new Set<Promise<unknown>>();
  readonly #iterators = new Set<RocksDbIterator>();

  private constructor(directory: string, db: RocksDb, roomSteadyMs: number) {
    this.directory = directory;
    this.#db = db;
    this.#roomSteadyMs = roomSteadyMs;
  }

  static async open(directory: string, roomSteadyMs: number = ROOM_STEADY_MS): Promise<RocksDbHandle> {
    return new RocksDbHandle(directory, await openDb(directory), roomSteadyMs);
  }

  /** @throws SluiceError `STATE_FULL`, `FILES_EXHAUSTED` while a reopen has failed */
  async call<T>(use: (db: RocksDb, done: Done<T>) => void): Promise<T> {
    // Checked and used without a pause in between.
    while (this.#reopening !== undefined) await this.#reopening;
    if (!this.#isOpen) throw this.#refusal();
    return await this.#native((done) => use(this.#db, done));
  }

  /** A view as of now. @throws SluiceError `STATE_FULL`, `FILES_EXHAUSTED` while it is opened anew */
  iterate(range: RocksDbRange): RocksDbIterator {
    if (this.#reopening !== undefined || !this.#isOpen) throw this.#refusal();
    const iterator = this.#db.iterator(range);
    this.#iterators.add(iterator);
    return iterator;
  }

  /** A view as of when there is one to be had. */
  async iterateSoon(range: RocksDbRange): Promise<RocksDbIterator> {
    while (this.#reopening !== undefined) await this.#reopening;
    return this.iterate(range);
  }

  /** The next row, or undefined at the end. */
  async next(iterator: RocksDbIterator): Promise<{ key: Buffer; sealed: Buffer } | undefined> {
    if (this.#reopening !== undefined || !this.#iterators.has(iterator)) throw this.#refusal();
    return await this.#native<{ key: Buffer; sealed: Buffer } | undefined>((done) =>
      iterator.next((error, key, sealed) =>
        done(error, key === undefined || sealed === undefined ? undefined : { key, sealed }),
      ),
    );
  }

  /** Nothing happens when a reopen or a close ended it already. */
  async end(iterator: RocksDbIterator): Promise<void> {
    if (!this.#iterators.delete(iterator)) return;
    await this.#native<void>((done) => iterator.end(done));
  }

  /** What RocksDB says of itself; undefined while it is not open. */
  property(name: string): string | undefined {
    return this.#isOpen && !this.#isShutting ? this.#db.getProperty(name) : undefined;
  }

  /**
   * Closes and opens it, after a shortage. Nothing may be written meanwhile.
   * @throws SluiceError `STATE_FULL`, `FILES_EXHAUSTED` until there was enough room for a while; reads go on unless it vanished in between
   */
  async reopen(after: Shortage = 'space'): Promise<void> {
    this.#after = after;
    if (!(await this.#hasSteadyRoom())) throw this.#refusal();
    let done = (): void => {};
    this.#reopening = new Promise((resolve) => {
      done = resolve;
    });
    try {
      if (this.#isOpen) {
        await this.#shut();
        this.#isOpen = false;
      }
      this.#db = await openDb(this.directory);
      this.#isOpen = true;
      this.#isShutting = false;
      this.#roomSinceMs = undefined;
    } finally {
      this.#reopening = undefined;
      done();
    }
  }

  #refusal(): SluiceError {
    return this.#after === 'files' ? stateOutOfFiles(this.directory) : stateFull(this.directory);
  }

  async close(): Promise<void> {
    await this.#reopening;
    if (this.#isOpen) await this.#shut();
    this.#isOpen = false;
  }

  /** Waits for what runs, then ends what is open: the binding would crash otherwise. */
  async #shut(): Promise<void> {
    this.#isShutting = true;
    while (this.#calls.size > 0) await Promise.allSettled([...this.#calls]);
    for (const iterator of [...this.#iterators]) await this.end(iterator);
    await this.#native<void>((done) => this.#db.close(done));
  }

  async #native<T>(use: (done: Done<T>) => void): Promise<T> {
    assert(this.#isOpen, 'nobody may use a database that is closed: the native code would crash');
    const call = called(this.directory, use);
    this.#calls.add(call);
    try {
      return await call;
    } finally {
      this.#calls.delete(call);
    }
  }

  async #hasSteadyRoom(): Promise<boolean> {
    if (!(await this.#hasRoom())) {
      this.#roomSinceMs = undefined;
      return false;
    }
    const nowMs = systemClock.monotonicMs();
    this.#roomSinceMs ??= nowMs;
    return !this.#isOpen || nowMs - this.#roomSinceMs >= this.#roomSteadyMs;
  }

  async #hasRoom(): Promise<boolean> {
    let neededBytes = OPEN_BYTES;
    for (const name of await readdir(this.directory)) {
      if (name.endsWith('.log')) neededBytes += (await stat(join(this.directory, name))).size;
    }
    const { bavail, bsize } = await statfs(this.directory);
    return bavail * bsize >= neededBytes;
  }
}

type Done<T> = (error: Error | null | undefined, value: T) => void;

async function openDb(directory: string): Promise<RocksDb> {
  const db = makeRocksDb(directory);
  await new Promise<void>((resolve, reject) => {
    db.open({ ...ROCKSDB_OPTIONS }, (error) => (error ? reject(rocksDbOpenError(directory, error)) : resolve()));
  });
  return db;
}

function called<T>(directory: string, use: (done: Done<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    use((error, value) => (error ? reject(rocksDbError(directory, error)) : resolve(value)));
  });
}
