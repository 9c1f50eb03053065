/**
 * Queues that are subscribed to and do not exist, asked for one question each, however many subscribe. While no coordinator
 * leads, nobody can make one, and no news of a queue would ever come: so who gets no answer asks again, for as long as
 * somebody waits for that queue.
 */
export class WantedQueues {
  readonly #ask: AskForQueue;
  readonly #asking = new Set<string>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #isClosed = false;

  /** A question has its own patience, of seconds: this lies between two of them. */
  static readonly AGAIN_MS = 500;

  constructor(ask: AskForQueue) {
    this.#ask = ask;
  }

  /** @param isWanted whether somebody waits for it still. */
  want(name: string, topicFilter: string, isWanted: () => boolean): void {
    // A level of a filter has no NUL: no two pairs are one text.
    const key = `${name}\0${topicFilter}`;
    if (this.#asking.has(key) || this.#isClosed) return;
    this.#asking.add(key);
    void this.#ask(name, topicFilter).then((answer) => {
      if (answer !== undefined || this.#isClosed) {
        this.#asking.delete(key);
        return;
      }
      // Whoever wants it meanwhile waits for the same: a timer a pair.
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        this.#asking.delete(key);
        if (isWanted()) this.want(name, topicFilter, isWanted);
      }, WantedQueues.AGAIN_MS);
      this.#timers.add(timer);
    });
  }

  close(): void {
    this.#isClosed = true;
    for (const timer of this.#timers) clearTimeout(timer);
  }
}

/** Whether it was made for that; undefined: nobody answered. */
export type AskForQueue = (name: string, topicFilter: string) => Promise<boolean | undefined>;
