/**
 * What arrived on a channel and waits for its listener: handed over in one task, however many messages came in the turn,
 * in their order, and none behind the end of the channel. What the listener throws is thrown out of that task.
 */
export class Inbox {
  #messages: unknown[] = [];
  #listener: ((message: unknown) => void) | undefined;
  #isScheduled = false;
  #isClosed = false;
  readonly #drained: () => void;
  readonly #drain = (): void => {
    this.#isScheduled = false;
    const listener = this.#listener;
    const messages = this.#messages;
    if (listener !== undefined && messages.length > 0) {
      this.#messages = [];
      for (const message of messages) {
        if (this.#isClosed) return;
        listener(message);
      }
    }
    this.#drained();
  };

  /** `drained`: called each time when all that was there has been heard. */
  constructor(drained: () => void) {
    this.#drained = drained;
  }

  get isEmpty(): boolean {
    return this.#messages.length === 0;
  }
  get isHeard(): boolean {
    return this.#listener !== undefined;
  }

  push(message: unknown): void {
    this.#messages.push(message);
  }

  listen(listener: (message: unknown) => void): void {
    this.#listener = listener;
  }

  /** Has `schedule` run the task in which the listener hears what is there, unless it is to run already. */
  handOver(schedule: (task: () => void) => void): void {
    if (this.#isScheduled || this.#listener === undefined || this.isEmpty) return;
    this.#isScheduled = true;
    schedule(this.#drain);
  }

  /** Nothing more is heard. */
  close(): void {
    this.#isClosed = true;
    this.#messages = [];
  }
}
