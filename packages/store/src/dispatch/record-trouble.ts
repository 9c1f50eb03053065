/**
 * A record of a queue cannot be read: the queue rests, is tried again, and says when that began and ended.
 */
export class RecordTrouble {
  readonly #onTrouble: (cause: Error) => void;
  readonly #onRecovered: () => void;
  #retryTimer: NodeJS.Timeout | undefined;
  /** Until it could be read. */
  isThere = false;

  /** A disk that said no is asked again after this long. */
  static readonly RETRY_MS = 500;

  constructor(options: { onTrouble: (cause: Error) => void; onRecovered: () => void }) {
    this.#onTrouble = options.onTrouble;
    this.#onRecovered = options.onRecovered;
  }

  /** It is tried again in a moment. */
  get rests(): boolean {
    return this.#retryTimer !== undefined;
  }

  failed(cause: Error, retry: () => void): void {
    this.isThere = true;
    this.#onTrouble(cause);
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = undefined;
      retry();
    }, RecordTrouble.RETRY_MS);
  }

  recovered(): void {
    clearTimeout(this.#retryTimer);
    this.#retryTimer = undefined;
    if (!this.isThere) return;
    this.isThere = false;
    this.#onRecovered();
  }
}
