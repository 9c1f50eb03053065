/**
 * Looks again and again for as long as there is something to look after, and wakes nobody otherwise.
 *
 * An interval that runs for ever costs an idle process more than all its work: twenty wake-ups a second each, in every
 * node of a cluster. A timer a question costs a busy one an allocation a message. This is one timer for all, which ends
 * with the first look that finds nothing left.
 */
export class WatchTimer {
  readonly #everyMs: number;
  readonly #look: () => boolean;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  /** `look` says whether there is anything left to look after. */
  constructor(everyMs: number, look: () => boolean) {
    this.#everyMs = everyMs;
    this.#look = look;
  }

  /** There is something to look after, from now on. */
  watch(): void {
    if (this.#timer !== undefined || this.#isClosed) return;
    this.#timer = setInterval(() => {
      if (!this.#look()) this.#rest();
    }, this.#everyMs);
  }

  close(): void {
    this.#isClosed = true;
    this.#rest();
  }

  #rest(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
