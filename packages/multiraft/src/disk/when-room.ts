import { SluiceError } from '@sluice/common/errors';
import { isFullDisk, isOutOfFiles } from '@sluice/storage/files/file-operations';
import { TICK_MS } from '../raft-timing.ts';

const FULL_CODES: ReadonlySet<string> = new Set(['ENTRY_LOG_FULL', 'STATE_FULL', 'IMAGE_FULL', 'FILES_EXHAUSTED']);

/** No room, or no file descriptor: the same step may succeed later. */
export function isFull(cause: unknown): boolean {
  return cause instanceof SluiceError ? FULL_CODES.has(cause.code) : isFullDisk(cause) || isOutOfFiles(cause);
}

/**
 * Does a step that may be done twice until there is room for it: nobody could do better with the error than wait and try
 * again. `wait` resolves when it may help, and gives up by throwing what it is told.
 */
export async function whenRoom<T>(step: () => Promise<T>, wait: (cause: unknown) => Promise<void>): Promise<T> {
  for (;;) {
    try {
      return await step();
    } catch (cause) {
      if (!isFull(cause)) throw cause;
      await wait(cause);
    }
  }
}

/** A wait of one tick after the other; `ends`: not any more. */
export function byTheTick(ends: () => boolean): (cause: unknown) => Promise<void> {
  return async (cause) => {
    if (ends()) throw cause;
    await new Promise<void>((resolve) => setTimeout(resolve, TICK_MS));
  };
}
