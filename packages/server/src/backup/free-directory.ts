import { readdir, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { SluiceError } from '@sluice/common/errors';
import { errorCode } from '@sluice/storage/files/file-operations';
import { nodeFileOperations } from '@sluice/storage/files/node-file-operations';

/**
 * Of a directory that is to appear whole, under its name: whatever is there already is somebody's.
 *
 * @throws SluiceError with that code when it is not empty, or no directory
 */
export async function mustBeFree(directory: string, code: 'BACKUP_REFUSED' | 'RESTORE_REFUSED'): Promise<void> {
  const found = await readdir(directory).catch((cause: Error) => {
    if (errorCode(cause) === 'ENOENT') return [];
    throw new SluiceError(code, `${directory} cannot be used: ${cause.message}`, { hint: HINT, cause });
  });
  if (found.length > 0) throw new SluiceError(code, `${directory} is not empty`, { hint: HINT });
}

/** With what is missing above it. @throws SluiceError with that code */
export async function makeWorkDirectory(directory: string, code: 'BACKUP_REFUSED' | 'RESTORE_REFUSED'): Promise<void> {
  try {
    await nodeFileOperations.makeDirectory(directory);
  } catch (cause) {
    const hint = 'nothing can be made there: name another directory, which this user may write';
    throw new SluiceError(code, `${directory} cannot be made: ${(cause as Error).message}`, { hint, cause });
  }
}

/** What is whole by now takes its name, durably. @throws SluiceError with that code when somebody has it meanwhile */
export async function giveName(work: string, name: string, code: 'BACKUP_REFUSED' | 'RESTORE_REFUSED'): Promise<void> {
  await mustBeFree(name, code);
  try {
    await rename(work, name);
  } catch (cause) {
    if (!['ENOTEMPTY', 'EEXIST'].includes(errorCode(cause))) throw cause;
    throw new SluiceError(code, `${name} is not empty`, { hint: HINT, cause });
  }
  await nodeFileOperations.syncDirectory(dirname(name));
}

const HINT = 'name a directory that is not there yet, or move away what is there';
