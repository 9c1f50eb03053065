import type { Metrics } from '@sluice/common/metrics';

/** RocksDB's own words for what its state is, by our names. All are of its one column family. */
const FIGURES: readonly [name: string, help: string, property: string][] = [
  ['live_sst_bytes', 'Bytes of table files in use', 'rocksdb.live-sst-files-size'],
  ['memtable_bytes', 'Bytes of writes that are in no table file yet', 'rocksdb.cur-size-all-mem-tables'],
  ['block_cache_usage_bytes', 'Bytes in the block cache', 'rocksdb.block-cache-usage'],
  ['estimated_keys', 'Rows, as estimated', 'rocksdb.estimate-num-keys'],
  ['level0_files', 'Table files that wait for their first compaction', 'rocksdb.num-files-at-level0'],
  [
    'pending_compaction_bytes',
    'Bytes that compaction has to rewrite, as estimated',
    'rocksdb.estimate-pending-compaction-bytes',
  ],
  ['running_compactions', 'Compactions under way', 'rocksdb.num-running-compactions'],
  ['running_flushes', 'Flushes under way', 'rocksdb.num-running-flushes'],
  ['write_stopped', '1 while it takes no writes because compaction is behind', 'rocksdb.is-write-stopped'],
  [
    'delayed_write_bytes_per_second',
    'The rate it slows writes down to; 0 when it does not',
    'rocksdb.actual-delayed-write-rate',
  ],
];

/** Counted since it was opened, and told in a text for people only: hours, minutes and seconds to the millisecond. */
const STALLED = /Cumulative stall: (\d+):(\d+):([\d.]+) H:M:S/;

/** `property` answers undefined while the database is closed. */
export function collectRocksDbMetrics(metrics: Metrics, property: (name: string) => string | undefined): void {
  for (const [name, help, wanted] of FIGURES) {
    metrics.collect(`sluice_rocksdb_${name}`, help, 'gauge', () => {
      const value = property(wanted);
      return value === undefined || value === '' ? [] : [[{}, Number(value)]];
    });
  }
  metrics.collect(
    'sluice_rocksdb_write_stall_seconds_total',
    'Time that writes waited for compaction',
    'counter',
    () => {
      const [, hours, minutes, seconds] = STALLED.exec(property('rocksdb.dbstats') ?? '') ?? [];
      return seconds === undefined ? [] : [[{}, 3_600 * Number(hours) + 60 * Number(minutes) + Number(seconds)]];
    },
  );
}
