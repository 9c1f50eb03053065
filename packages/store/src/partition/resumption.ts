/**
 * The first moments of a leadership: which of the partition's records may be in the hands of a worker is known to the
 * gateways alone. Handing them out at once would give every job that runs to a second worker; waiting for all gateways
 * there ever were would wait for the dead. So a new leader asks those it has a channel to (and those that are said to live
 * and never had one to this process: the process is young), and hands out nothing from before its leadership until each
 * has answered, lost its channel, or `GRACE_MS` is over. What came after it began was never with anybody.
 *
 * | waits for                              | until                          |
 * |----------------------------------------|--------------------------------|
 * | the queues of its image, not asked yet | it asks; `UNASKED_MS_MAX`      |
 * | gateways that were asked               | the last answers; `GRACE_MS`   |
 *
 * A leader that does not come to ask has most likely lost its majority the moment it got it (the former one stopped, of
 * two): it can settle nothing either, and what it handed out would be with two workers.
 */
export class Resumption {
  /** Of the last entry that may hold a record some worker has. */
  readonly #lastIndex: number;
  readonly #onOver: () => void;
  #awaited: Set<number> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  /** Several times what a gateway that runs needs; one that does not run for so long finds its messages with others. */
  static readonly GRACE_MS = 1_000;
  /** Beyond the time in which a leader without a majority steps down. */
  static readonly UNASKED_MS_MAX = 5_000;

  constructor(lastIndex: number, onOver: () => void) {
    this.#lastIndex = lastIndex;
    this.#onOver = onOver;
    this.#arm(Resumption.UNASKED_MS_MAX);
  }

  /** Whether a record of this entry may be held by somebody who has not said so yet. */
  mayBeHeld(entryIndex: number): boolean {
    return !this.#isOver && entryIndex <= this.#lastIndex;
  }

  /** These were asked now. */
  asked(gateways: Iterable<number>): void {
    if (this.#isOver) return;
    this.#awaited = new Set(gateways);
    this.#arm(Resumption.GRACE_MS);
    if (this.#awaited.size === 0) this.#end();
  }

  /** It has said everything, or its channel is gone and with it whatever it had. */
  answered(gateway: number): void {
    if (this.#awaited?.delete(gateway) && this.#awaited.size === 0) this.#end();
  }

  /** The leadership ended. */
  stop(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
  }

  #arm(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#end(), ms);
  }

  #end(): void {
    if (this.#isOver) return;
    this.stop();
    this.#onOver();
  }
}
