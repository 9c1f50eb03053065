import type { RocksDbOpenOptions } from './rocksdb-binding.ts';

/** What the binding lets one set, chosen for small memory when idle: the state is derived and mostly cold. */
export const ROCKSDB_OPTIONS: RocksDbOpenOptions = {
  createIfMissing: true,
  // Uncompressed blocks. The machines keep their own hot rows, so this serves lookups of cold ones and scans.
  cacheSize: 8 * 1024 * 1024,
  // Two of these may be in memory, and both are replayed at a start after a crash. Larger ones would save compactions
  // of rows that live long; most rows here are gone within seconds.
  writeBufferSize: 4 * 1024 * 1024,
  // One row is wanted more often than its neighbours.
  blockSize: 4096,
  // Each open table file keeps its index and filter in memory, outside of the cache.
  maxOpenFiles: 256,
  // Keys of one queue share long prefixes.
  compression: true,
};

/** Bytes an iterator fetches ahead: one trip to the thread pool for about a thousand rows. */
export const SCAN_AHEAD_BYTES = 128 * 1024;
