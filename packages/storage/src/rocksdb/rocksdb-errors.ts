import { SluiceError } from '@sluice/common/errors';

export function stateDamaged(directory: string, what: string, cause?: unknown): SluiceError {
  return new SluiceError('STATE_DAMAGED', `the state in ${directory} is damaged: ${what}`, {
    hint: 'The state is derived: a restart makes it again from the last images and the entry log.',
    cause,
  });
}

/** Nothing of the write is kept, and it may be tried again. */
export function stateFull(directory: string, cause?: unknown): SluiceError {
  return new SluiceError('STATE_FULL', `no space left for the state in ${directory}`, {
    hint: 'Free space on that disk. Nothing acknowledged is lost; a node that runs goes on by itself, one that did not start is started again.',
    retriable: true,
    cause,
  });
}

export function stateLost(directory: string, written: number, found: number): SluiceError {
  return new SluiceError(
    'STATE_FAILED',
    `the state in ${directory} ends at write ${found}, after ${written} were made`,
    {
      hint: 'Restart this process: it makes the state again from the entry log.',
    },
  );
}

/** As with a full disk: it takes no more writes until it is opened anew, and then all goes on. */
export function stateOutOfFiles(directory: string, cause?: unknown): SluiceError {
  return new SluiceError('FILES_EXHAUSTED', `no file descriptor was free for the state in ${directory}`, {
    hint: 'Raise the limit of open files (ulimit -n, LimitNOFILE=), or lower mqtt.connectionsMax. What waits goes on by itself.',
    retriable: true,
    cause,
  });
}

/** What is wrong with the machine rather than with the files. */
const ENVIRONMENT =
  /Permission denied|Operation not permitted|Read-only file system|Too many open files|Input\/output error|Cannot allocate memory/;

/**
 * At the open everything else is damage: files that are missing, short, or of another database. The state is derived, so
 * the answer is the same for all of them.
 */
export function rocksDbOpenError(directory: string, error: Error): SluiceError {
  const known = rocksDbError(directory, error);
  return known.code === 'STATE_FAILED' && !ENVIRONMENT.test(error.message)
    ? stateDamaged(directory, error.message, error)
    : known;
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
  if (message.includes('No space left') || message.includes('quota exceeded')) return stateFull(directory, error);
  if (message.includes('Too many open files')) return stateOutOfFiles(directory, error);
  return new SluiceError('STATE_FAILED', `the state in ${directory} failed: ${message}`, {
    hint: 'Check the disk and the permissions of the directory.',
    cause: error,
  });
}
