/** A connection that has more to publish than is taken in this pass. */
export interface ShareTaker {
  /** In a later pass: it may publish until it is refused again. */
  yourTurn(): void;
}

/**
 * What all connections together may publish in one pass of the event loop. The others wait, in the order in which they
 * were refused, and are read on in the next passes.
 *
 * The obvious way is to take what sockets bring. But a pass hands out no more than consumers have windows for, and takes
 * as much as publishers have: with four windows of 1,024 on one side and four of 256 on the other, the ratio of windows
 * and not the work that waits decides who has the processor, and a surge takes from consumers what they had. So does a
 * longer pass from everybody: it is how long an answer, a heartbeat and a small publisher wait. Passes end early here
 * instead: deliveries and answers get as many turns as publishes do, and who publishes faster is slowed down by TCP.
 *
 * A connection hears of it after a publish of its own, so a small publisher never waits, and one pass takes at most
 * `PUBLISHES_MAX` and one more of each connection.
 * @hotpath
 */
export class PublishShare {
  /** Enough that what is done once a pass costs little beside them, and a millisecond's work. */
  static readonly PUBLISHES_MAX = 512;

  #left = PublishShare.PUBLISHES_MAX;
  readonly #waiting: ShareTaker[] = [];
  #isScheduled = false;
  readonly #begin = (): void => this.#beginPass();

  /** It has published. True: not again in this pass; it stands in line. */
  spend(taker: ShareTaker): boolean {
    this.#schedule();
    if (--this.#left > 0) return false;
    this.#waiting.push(taker);
    return true;
  }

  /** Its connection is gone: all that had come from it is taken now, since nobody will be there for its turn. */
  finish(taker: ShareTaker): void {
    const left = this.#left;
    this.#left = Number.POSITIVE_INFINITY;
    try {
      taker.yourTurn();
    } finally {
      this.#left = left;
    }
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#begin);
  }

  #beginPass(): void {
    this.#isScheduled = false;
    this.#left = PublishShare.PUBLISHES_MAX;
    const waiting = this.#waiting;
    if (waiting.length === 0) return;
    // Who is refused again stands behind those who were not asked yet.
    const count = waiting.length;
    let asked = 0;
    while (asked < count && this.#left > 0) (waiting[asked++] as ShareTaker).yourTurn();
    waiting.splice(0, asked);
    if (waiting.length > 0) this.#schedule();
  }
}
