import { shortageOf } from '@sluice/storage/shortage';
import { TICK_MS } from '../raft-timing.ts';

/**
 * Does a step that may be done twice until there is room for it: nobody could do better with the error than wait and try
 * again. `wait` resolves when it may help, and gives up by throwing what it is told.
 */
export async function whenRoom<T>(step: () => Promise<T>, wait: (cause: unknown) => Promise<void>): Promise<T> {
  for (;;) {
    try {
      return await step();
    } catch (cause) {
      if (shortageOf(cause) === undefined) throw cause;
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
