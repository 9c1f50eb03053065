import { SluiceError } from '@sluice/common/errors';
import { isFullDisk, isOutOfFiles } from './files/file-operations.ts';

/**
 * What was wanted and not there: room on the disk, or a file descriptor. Nothing is broken, and the same step may succeed later.
 * Whoever waits does the same for both; whoever tells people does not, for what helps against the one does nothing for the other.
 */
export type Shortage = 'space' | 'files';

const OF_CODES: ReadonlyMap<string, Shortage> = new Map([
  ['ENTRY_LOG_FULL', 'space'],
  ['STATE_FULL', 'space'],
  ['IMAGE_FULL', 'space'],
  ['FILES_EXHAUSTED', 'files'],
]);

/** Undefined: it failed for another reason. */
export function shortageOf(cause: unknown): Shortage | undefined {
  if (cause instanceof SluiceError) return OF_CODES.get(cause.code);
  if (isFullDisk(cause)) return 'space';
  return isOutOfFiles(cause) ? 'files' : undefined;
}

/** In words, for logs and refusals. */
export const SHORTAGE_TEXTS: Readonly<Record<Shortage, string>> = {
  space: 'the disk is full',
  files: 'no file descriptor is free',
};
