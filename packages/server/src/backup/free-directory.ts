import { readdir } from 'node:fs/promises';
import { SluiceError } from '@sluice/common/errors';
import { errorCode } from '@sluice/storage/files/file-operations';

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

const HINT = 'name a directory that is not there yet, or move away what is there';
