import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { loadNativeCodeApart, needsNativeCodeApart } from './native-code.ts';

/**
 * The part of the npm package `rocksdb` 5.2.1 that is used, typed: it ships no types. Its checks are thin: a call after
 * `close`, or a close under a running call, ends the process. `rocksdb-engine` guards against both.
 */
export interface RocksDb {
  open(options: RocksDbOpenOptions, done: Done<void>): void;
  close(done: Done<void>): void;
  /** A row a key, `undefined` where there is none. */
  getMany(
    keys: readonly Buffer[],
    options: { asBuffer: true; fillCache: boolean },
    done: Done<(Buffer | undefined)[]>,
  ): void;
  batch(): RocksDbBatch;
  iterator(options: RocksDbRange): RocksDbIterator;
  /** Deletes row by row, on a thread of the pool. */
  clear(options: { gte: Buffer; lt: Buffer }, done: Done<void>): void;
  /** At once; empty when there is no such property. */
  getProperty(name: string): string;
  compactRange(start: Buffer, end: Buffer, done: Done<void>): void;
}

/** Atomic; nothing happens before `write`. */
export interface RocksDbBatch {
  put(key: Buffer, value: Buffer): this;
  del(key: Buffer): this;
  write(options: { sync: boolean }, done: Done<void>): void;
}

/** A consistent view from the moment it is made. It must be ended, and not under a running `next`. */
export interface RocksDbIterator {
  /** No key at the end. */
  next(done: (error: Error | null | undefined, key?: Buffer, value?: Buffer) => void): void;
  end(done: Done<void>): void;
  /**
   * Rows already fetched: value, key, value, key …, the next row last. Taking them here saves a callback a row; the
   * package is pinned.
   */
  cache: Buffer[] | null;
}

export interface RocksDbRange {
  gte: Buffer;
  lt: Buffer;
  limit: number;
  values: boolean;
  fillCache: boolean;
  /** Bytes fetched ahead. */
  highWaterMark: number;
}

export interface RocksDbOpenOptions {
  createIfMissing: boolean;
  cacheSize: number;
  writeBufferSize: number;
  blockSize: number;
  maxOpenFiles: number;
  compression: boolean;
}

type Done<T> = (error: Error | null | undefined, value: T) => void;

const load = createRequire(import.meta.url);
let isLoaded = false;

/** Loads the native code on first use: a process without a store never does. */
export function makeRocksDb(directory: string): RocksDb {
  if (!isLoaded && needsNativeCodeApart()) loadNativeCodeApart(dirname(load.resolve('rocksdb')), dirname(directory));
  isLoaded = true;
  const make = load('rocksdb') as (directory: string) => RocksDb;
  return make(directory);
}
