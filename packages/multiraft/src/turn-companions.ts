/**
 * What nobody waits for, and what would cost each node a frame, a sync and an answer of its own: it is proposed with a
 * turn that writes anyway.
 *
 * A wait of its own for each group would be the obvious rhythm: a timer a group, each of which wakes the event loop, and
 * proposals that come one by one, each a walk through code and rows that are cold by then. So all groups of a node have
 * one wait, from the first that asks on: `GATHER_MS` for others, then until a turn writes, at most `COMPANY_MS` more. What
 * asks meanwhile goes with it, so nothing waits longer than both, and groups that have little each are one piece of work.
 *
 * Bound: each group asks once at a time.
 */
export class TurnCompanions {
  #waiting: (() => void)[] = [];
  #timer: NodeJS.Timeout | undefined;
  #isDue = false;
  readonly #gathered = (): void => {
    this.#isDue = true;
    this.#timer = setTimeout(this.#take, TurnCompanions.COMPANY_MS);
  };
  readonly #take = (): void => this.take();

  /** Short beside what a worker needs for its next job, long beside a turn. */
  static readonly GATHER_MS = 10;
  /** What no turn took along by then goes alone. */
  static readonly COMPANY_MS = 5;

  add(propose: () => void): void {
    this.#waiting.push(propose);
    this.#timer ??= setTimeout(this.#gathered, TurnCompanions.GATHER_MS);
  }

  /** They would go with a turn that writes. */
  get isDue(): boolean {
    return this.#isDue;
  }

  /** All of them propose. */
  take(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#isDue = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const propose of waiting) propose();
  }
}
