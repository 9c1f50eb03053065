import { dashboard, graph, heatmap, number, row } from './dashboard.mjs';

const J = 'job="$job"';
const rate = (name, by = 'instance') => `sum by (${by}) (rate(${name}{${J}}[$__rate_interval]))`;
const each = (name) => ({ '{{instance}}': `sum by (instance) (${name}{${J}})` });

export const storage = dashboard({
  uid: 'sluice-storage',
  title: 'Sluice / Storage',
  description: 'The disk, the entry log that keeps every message, and RocksDB that knows where they are.',
  rows: [
    row(
      'Is there room, and is it whole?',
      number(
        'Least free',
        `min(sluice_storage_disk_bytes{${J}, kind="free"} / on (instance) sluice_storage_disk_bytes{${J}, kind="total"})`,
        { unit: 'percentunit' },
      ),
      number('Nodes refusing publishes', `sum(sluice_storage_low{${J}})`, { thresholds: [[1, 'red']] }),
      number('Failed syncs', `sum(sluice_storage_fsync_errors_total{${J}})`, { thresholds: [[1, 'red']] }),
      number('Damage found', `sum(sluice_storage_corruptions_total{${J}}) or vector(0)`, { thresholds: [[1, 'red']] }),
      number(
        'Sync p99',
        `histogram_quantile(0.99, sum by (le) (rate(sluice_storage_fsync_seconds_bucket{${J}}[$__rate_interval])))`,
        {
          unit: 's',
          thresholds: [
            [0.05, 'orange'],
            [0.5, 'red'],
          ],
        },
      ),
      number('Stored in queues', `sum(sluice_queue_depth_bytes{${J}})`, { unit: 'bytes' }),
    ),
    row(
      'Disk',
      graph(
        'Free',
        { '{{instance}}': `sum by (instance) (sluice_storage_disk_bytes{${J}, kind="free"})` },
        { unit: 'bytes', width: 8 },
      ),
      graph(
        'Entry log',
        { '{{instance}}': `sum by (instance) (sluice_storage_disk_bytes{${J}, kind="entry_log"})` },
        { unit: 'bytes', width: 8 },
      ),
      graph(
        'Stored in queues',
        { '{{instance}}': `sum by (instance) (sluice_queue_depth_bytes{${J}})` },
        { unit: 'bytes', width: 8 },
      ),
    ),
    row(
      'Entry log',
      graph('Written', { '{{instance}}': rate('sluice_storage_written_bytes_total') }, { unit: 'Bps', width: 8 }),
      graph(
        'Given back and moved',
        {
          'given back': `sum(rate(sluice_storage_reclaimed_bytes_total{${J}}[$__rate_interval]))`,
          moved: `sum(rate(sluice_storage_moved_forward_bytes_total{${J}}[$__rate_interval]))`,
        },
        { unit: 'Bps', width: 8 },
      ),
      graph(
        'Messages read from',
        { '{{from}}': rate('sluice_store_entry_reads_total', 'from') },
        { width: 8, description: 'Entries read for deliveries: from memory while consumers keep up.' },
      ),
      heatmap('Time of a sync', `sum by (le) (increase(sluice_storage_fsync_seconds_bucket{${J}}[$__rate_interval]))`),
      graph('Syncs a second', { '{{instance}}': rate('sluice_storage_fsync_seconds_count') }),
    ),
    row(
      'RocksDB',
      graph('Table files', each('sluice_rocksdb_live_sst_bytes'), { unit: 'bytes', width: 8 }),
      graph(
        'In memory',
        {
          'block cache {{instance}}': `sum by (instance) (sluice_rocksdb_block_cache_usage_bytes{${J}})`,
          'writes {{instance}}': `sum by (instance) (sluice_rocksdb_memtable_bytes{${J}})`,
        },
        { unit: 'bytes', width: 8 },
      ),
      graph('Rows', each('sluice_rocksdb_estimated_keys'), { width: 8 }),
      graph('Compaction behind by', each('sluice_rocksdb_pending_compaction_bytes'), { unit: 'bytes', width: 8 }),
      graph('Files of level 0', each('sluice_rocksdb_level0_files'), { width: 8 }),
      graph(
        'Compactions and flushes under way',
        {
          'compactions {{instance}}': `sum by (instance) (sluice_rocksdb_running_compactions{${J}})`,
          'flushes {{instance}}': `sum by (instance) (sluice_rocksdb_running_flushes{${J}})`,
          'writes stopped {{instance}}': `sum by (instance) (sluice_rocksdb_write_stopped{${J}})`,
        },
        { width: 8 },
      ),
      graph(
        'Share of the time in which writes wait for compaction',
        { '{{instance}}': rate('sluice_rocksdb_write_stall_seconds_total') },
        { unit: 'percentunit', width: 8 },
      ),
    ),
    row(
      'Process',
      graph(
        'Open files',
        {
          '{{instance}}': `max by (instance) (sluice_process_open_fds{${J}})`,
          'allowed {{instance}}': `max by (instance) (sluice_process_max_fds{${J}})`,
        },
        { width: 8, log: true },
      ),
      graph(
        'Memory',
        { '{{instance}}': `max by (instance) (sluice_process_resident_memory_bytes{${J}})` },
        { unit: 'bytes', width: 8 },
      ),
      graph(
        'Event loop, how late (p99)',
        { '{{instance}}': `max by (instance) (sluice_process_event_loop_lag_seconds{${J}, stat="p99"})` },
        { unit: 's', width: 8 },
      ),
    ),
  ],
});
