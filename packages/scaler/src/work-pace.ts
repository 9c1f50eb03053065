/**
 * How many messages a worker that has something to do finishes in a second, from counters looked at now and then.
 *
 * Acknowledged messages over time would be the pace of the fleet, not of a worker; over connected workers it would fall
 * whenever there is little to do, and a fleet that idles would seem to need more workers. So what counts is the time that
 * workers spent with messages: each look adds it, and acknowledgements, to sums that fade alike. Time is an argument.
 */
export class WorkPace {
  #accepted = 0;
  #workerSeconds = 0;
  #lookedMs = Number.NaN;
  #acceptedTotal = 0;
  #busy = 0;

  /** Jobs take minutes: a third of what is older than this counts still. */
  static readonly FADE_MS = 600_000;
  /** Nobody asked for so long that what was before says nothing about it. */
  static readonly GAP_MS_MAX = 120_000;

  /** `busy`: workers that have messages at this moment. */
  look(nowMs: number, acceptedTotal: number, busy: number): void {
    const elapsedMs = nowMs - this.#lookedMs;
    // A queue made anew counts from zero.
    if (elapsedMs <= WorkPace.GAP_MS_MAX && acceptedTotal >= this.#acceptedTotal) {
      const kept = Math.exp(-elapsedMs / WorkPace.FADE_MS);
      this.#accepted = this.#accepted * kept + acceptedTotal - this.#acceptedTotal;
      this.#workerSeconds = this.#workerSeconds * kept + (((this.#busy + busy) / 2) * elapsedMs) / 1_000;
    } else {
      this.#accepted = 0;
      this.#workerSeconds = 0;
    }
    this.#lookedMs = nowMs;
    this.#acceptedTotal = acceptedTotal;
    this.#busy = busy;
  }

  /** Messages a second and worker; undefined while none was seen to be finished. */
  get perWorker(): number | undefined {
    return this.#accepted > 0 && this.#workerSeconds > 0 ? this.#accepted / this.#workerSeconds : undefined;
  }
}
