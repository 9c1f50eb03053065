import { SluiceError } from '@sluice/common/errors';
import type { Metrics } from '@sluice/common/metrics';

/** Bytes on the disk are not what was written. Nothing is cut or repaired here: only peers or a backup know better. */
export function damaged(file: string, offset: number, expected: string, cause?: unknown): SluiceError {
  return new SluiceError('ENTRY_LOG_DAMAGED', `${file} is damaged at byte ${offset}: expected ${expected}`, {
    hint:
      'Nothing was changed. With replicas: stop this node, move the directory away and let it rejoin and copy from its ' +
      'peers. Without: restore the directory from a backup. Check the disk and its cabling before using it again.',
    cause,
  });
}

export function fenced(cause: unknown): SluiceError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new SluiceError('ENTRY_LOG_FENCED', `the entry log takes no writes since one failed: ${why}`, {
    hint:
      'The system may have dropped what could not be written, so trying again would prove nothing. Check the disk, ' +
      'then restart the process: it recovers what is durable.',
    cause,
  });
}

export function full(directory: string, cause?: unknown): SluiceError {
  return new SluiceError('ENTRY_LOG_FULL', `no space left for the entry log in ${directory}`, {
    hint: 'Free space on that disk, raise its quota, or let consumers drain the queues. Nothing that was acknowledged is lost.',
    retriable: true,
    cause,
  });
}

/** What was wanted of the disk was not even asked for: says nothing about what is there. */
export function outOfFiles(file: string, cause: unknown): SluiceError {
  return new SluiceError('FILES_EXHAUSTED', `no file descriptor was free for ${file}`, {
    hint: 'It is tried again. Raise the limit of open files (ulimit -n, LimitNOFILE=), or lower mqtt.connectionsMax.',
    retriable: true,
    cause,
  });
}

export function missing(groupId: number, index: number): SluiceError {
  return new SluiceError('ENTRY_MISSING', `entry ${index} of group ${groupId} is not in the log`, {
    hint: 'It was released, superseded or never written here.',
  });
}

export function countCorruption(metrics: Metrics, file: string): void {
  metrics.counter('sluice_storage_corruptions_total', 'Reads that found other bytes than were written', { file }).add();
}

/** Bytes of the log are not what was written: its reader decides what that costs, never a guess at what they were. */
export function isDamage(cause: unknown): cause is SluiceError {
  return cause instanceof SluiceError && cause.code === 'ENTRY_LOG_DAMAGED';
}
