/**
 * Lets so many in at once; who comes then waits, in the order of coming. What a thousand want of the disk at the same
 * moment would be one long turn of the event loop, and is as soon done a few at a time.
 *
 * Who waits is not bounded here: it is bounded by whoever may come.
 */
export class Turnstile {
  readonly #places: number;
  #taken = 0;
  #waiting: (() => void)[] = [];
  /** Before it, all were let in. */
  #next = 0;

  /** So many that were let in are forgotten together. */
  static readonly FORGOTTEN_AT = 1_024;

  constructor(places: number) {
    this.#places = places;
  }

  async pass<T>(act: () => Promise<T>): Promise<T> {
    if (this.#taken === this.#places) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#taken++;
    try {
      return await act();
    } finally {
      this.#leave();
    }
  }

  /** The place goes to whoever waits longest. */
  #leave(): void {
    const next = this.#waiting[this.#next++];
    if (next === undefined) {
      this.#taken--;
      this.#waiting = [];
      this.#next = 0;
      return;
    }
    if (this.#next === Turnstile.FORGOTTEN_AT) {
      this.#waiting.splice(0, this.#next);
      this.#next = 0;
    }
    next();
  }

  /** Who waits, and who is not forgotten yet. */
  get length(): number {
    return this.#waiting.length;
  }
}
