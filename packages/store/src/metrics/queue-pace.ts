/**
 * How fast a queue fills and empties, from counters that are looked at every few seconds. The mean of the last look
 * alone jumps with every pause of a worker, and that since the start forgets nothing: what counts here fades within a
 * minute. Time is an argument.
 */
export class QueuePace {
  /** Records a second; undefined until there were two looks. */
  published: number | undefined;
  gone: number | undefined;
  /** When acknowledgements were seen to grow last; 0 when they never were. */
  acceptedMs = 0;
  /** Since when it has been looked at. */
  sinceMs = 0;
  #lookedMs = 0;
  #publishedTotal = 0;
  #goneTotal = 0;
  #acceptedTotal = 0;
  #weight = 0;

  /** A change of rate is known to two thirds after this long. */
  static readonly FADE_MS = 60_000;
  /** Nobody looked for so long: somebody else led meanwhile, or the queue was empty. It begins anew. */
  static readonly GAP_MS_MAX = 30_000;

  look(nowMs: number, publishedTotal: number, goneTotal: number, acceptedTotal: number): void {
    const elapsedMs = nowMs - this.#lookedMs;
    if (this.#lookedMs === 0 || elapsedMs > QueuePace.GAP_MS_MAX) this.#begin(nowMs);
    else if (elapsedMs > 0) {
      // The first looks count as much as they cover: without it, a queue would seem to stand still for its first minute.
      const share = 1 - Math.exp(-elapsedMs / QueuePace.FADE_MS);
      this.#weight += share * (1 - this.#weight);
      const step = share / this.#weight;
      this.published = towards(this.published, ((publishedTotal - this.#publishedTotal) * 1000) / elapsedMs, step);
      this.gone = towards(this.gone, ((goneTotal - this.#goneTotal) * 1000) / elapsedMs, step);
      if (acceptedTotal !== this.#acceptedTotal) this.acceptedMs = nowMs;
    }
    this.#lookedMs = nowMs;
    this.#publishedTotal = publishedTotal;
    this.#goneTotal = goneTotal;
    this.#acceptedTotal = acceptedTotal;
  }

  #begin(nowMs: number): void {
    this.published = undefined;
    this.gone = undefined;
    this.acceptedMs = 0;
    this.sinceMs = nowMs;
    this.#weight = 0;
  }
}

function towards(former: number | undefined, now: number, step: number): number {
  return former === undefined ? now : former + step * (now - former);
}
