import type { Clock } from '@sluice/common/clock';
import type { Dispatcher } from '@sluice/queue/dispatch/dispatcher';
import type { DispatchStep } from './dispatch-step.ts';

/**
 * A queue's records that no consumer with room takes for their size, as far as they are more than the dispatcher's: they wait
 * for hours and may die meanwhile, which nothing that hands out notices, and somebody should hear of them.
 *
 * Dropping names no records, so after it the rows of all that were set aside are read again, once for all drops that come
 * meanwhile. Dead ones would count as waiting, and up to the bound of what is set aside hold up the living.
 */
export class SetAsideRecords {
  readonly #dispatcher: Dispatcher;
  readonly #step: DispatchStep;
  readonly #onTooLarge: (count: number) => void;
  /** By the monotonic clock: not told before that again. */
  #nextTellMs = Number.NEGATIVE_INFINITY;
  /** Records were dropped since it was looked which of them live. */
  isStale = false;

  /** Between two times that it is said that some are too large for all consumers. */
  static readonly TELL_EVERY_MS = 5 * 60_000;

  constructor(dispatcher: Dispatcher, step: DispatchStep, onTooLarge: (count: number) => void) {
    this.#dispatcher = dispatcher;
    this.#step = step;
    this.#onTooLarge = onTooLarge;
  }

  /** True when there is something to look at. */
  dropped(): boolean {
    this.isStale ||= this.#dispatcher.setAsideCount > 0;
    return this.isStale;
  }

  /** What was purged, expired or trimmed is forgotten. */
  async look(): Promise<void> {
    while (this.isStale) {
      this.isStale = false;
      try {
        const dead = await this.#step.deadOf(this.#dispatcher.setAsideRefs());
        for (const offset of dead) this.#dispatcher.supersede(offset);
      } catch (cause) {
        this.isStale = true;
        throw cause;
      }
    }
  }

  tell(clock: Pick<Clock, 'monotonicMs'>): void {
    if (this.#dispatcher.setAsideCount === 0) return;
    const nowMs = clock.monotonicMs();
    if (nowMs < this.#nextTellMs) return;
    const { tooLargeCount } = this.#dispatcher;
    if (tooLargeCount === 0) return;
    this.#nextTellMs = nowMs + SetAsideRecords.TELL_EVERY_MS;
    this.#onTooLarge(tooLargeCount);
  }
}
