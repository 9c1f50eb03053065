/**
 * A WebSocket message comes whole and may have megabytes; handed on at once, it is copied into its packet in one turn, for
 * which everybody else waits. So a large one goes on a slice a turn, and what comes behind it waits, in order. Its client
 * is not read meanwhile, so what waits is one message and what came in the same piece of the stream.
 */
export class SlicedMessages {
  readonly #bytes: (chunk: Buffer) => void;
  readonly #waits: (isWaiting: boolean) => void;
  #waiting: Buffer[] = [];
  readonly #turn = (): void => this.#slice();

  static readonly SLICE_BYTES = 512 * 1024;

  /** `waits` says when something begins to wait, and when nothing does any more. */
  constructor(bytes: (chunk: Buffer) => void, waits: (isWaiting: boolean) => void) {
    this.#bytes = bytes;
    this.#waits = waits;
  }

  push(message: Buffer): void {
    const waited = this.#waiting.length > 0;
    if (!waited && message.length <= SlicedMessages.SLICE_BYTES) {
      this.#bytes(message);
      return;
    }
    this.#waiting.push(message);
    if (waited) return;
    this.#waits(true);
    this.#slice();
  }

  /** The stream is over: what waits goes on at once. */
  flush(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const message of waiting) this.#bytes(message);
  }

  /** Nothing that waits is wanted any more. */
  drop(): void {
    if (this.#waiting.length === 0) return;
    this.#waiting = [];
    this.#waits(false);
  }

  #slice(): void {
    const [first] = this.#waiting;
    if (first === undefined) return;
    const rest = first.subarray(SlicedMessages.SLICE_BYTES);
    if (rest.length > 0) this.#waiting[0] = rest;
    else this.#waiting.shift();
    this.#bytes(first.subarray(0, SlicedMessages.SLICE_BYTES));
    if (this.#waiting.length > 0) setImmediate(this.#turn);
    else this.#waits(false);
  }
}
