import { SluiceError } from '@sluice/common/errors';

export function stateDamaged(directory: string, what: string, cause?: unknown): SluiceError {
  return new SluiceError('STATE_DAMAGED', `the state in ${directory} is damaged: ${what}`, {
    hint: 'The state is derived: it can be removed and rebuilt from the entry log, the last image or the peers.',
    cause,
  });
}

/** RocksDB tells its errors apart by the first words of their message. */
export function rocksDbError(directory: string, error: Error): SluiceError {
  const { message } = error;
  if (message.startsWith('Corruption')) return stateDamaged(directory, message, error);
  if (message.includes('/LOCK:') || message.includes('lock hold by')) {
    return new SluiceError('STATE_LOCKED', `another process uses the state in ${directory}`, {
      hint: 'Two servers cannot share a data directory: stop the other one, or give this one its own with --data.',
      cause: error,
    });
  }
  if (message.includes('No space left') || message.includes('quota exceeded')) {
    return new SluiceError('STATE_FULL', `no space left for the state in ${directory}`, {
      hint: 'Free space on that disk. The state takes no writes until it was opened again.',
      cause: error,
    });
  }
  return new SluiceError('STATE_FAILED', `the state in ${directory} failed: ${message}`, {
    hint: 'Check the disk and the permissions of the directory.',
    cause: error,
  });
}
