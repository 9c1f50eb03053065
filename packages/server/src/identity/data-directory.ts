import { mkdir } from 'node:fs/promises';
import { SluiceError } from '@sluice/common/errors';

/** Messages of everybody are in there: for this user only. A directory that exists keeps the mode it was given. */
export async function makeDataDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new SluiceError('DATA_DIRECTORY', `the data directory cannot be made: ${(cause as Error).message}`, {
      hint: 'choose another directory, for example --data ./data, or give this one to this user',
      cause,
    });
  }
}
