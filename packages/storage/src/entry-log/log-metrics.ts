import { type Counter, type Gauge, type Histogram, type Metrics, SYNC_SECONDS_BOUNDS } from '@sluice/common/metrics';

export interface LogMetrics {
  syncSeconds: Histogram;
  syncErrors: Counter;
  outOfFiles: Counter;
  writtenBytes: Counter;
  diskBytes: Gauge;
}

export function outOfFilesCounter(metrics: Metrics): Counter {
  return metrics.counter(
    'sluice_storage_files_exhausted_total',
    'Files of the entry log that could not be opened because no file descriptor was free',
  );
}

export function logMetrics(metrics: Metrics): LogMetrics {
  return {
    syncSeconds: metrics.histogram(
      'sluice_storage_fsync_seconds',
      'Time of one synced write of the entry log',
      SYNC_SECONDS_BOUNDS,
    ),
    syncErrors: metrics.counter(
      'sluice_storage_fsync_errors_total',
      'Synced writes that failed; the first one ends the writing',
    ),
    outOfFiles: outOfFilesCounter(metrics),
    writtenBytes: metrics.counter('sluice_storage_written_bytes_total', 'Bytes written to the entry log'),
    diskBytes: metrics.gauge('sluice_storage_disk_bytes', 'Bytes on the disk', { kind: 'entry_log' }),
  };
}
