/**
 * When messages are due. At a fixed rate a message that could not be sent in time is late, and its latency counts from
 * when it was due: a generator that waits for a slow broker and then measures from the sending sees only the messages
 * that did not wait (coordinated omission).
 *
 * A timer of the runtime wakes once a millisecond at best. That lateness is the generator's own, so up to
 * `TIMER_SLACK_US` a message counts as due when it was sent.
 *
 * @hotpath
 */
export const TIMER_SLACK_US = 2_500;

export class Pace {
  #perSecond: number;
  #sinceUs: number;
  /** Due before `sinceUs`, at a former rate. */
  #dueBefore: number;

  /** 0 messages a second: whenever there is room. */
  constructor(perSecond: number, startUs: number) {
    this.#perSecond = perSecond;
    this.#sinceUs = startUs;
    this.#dueBefore = 0;
  }

  /** From now on another rate; what was due before and is not among the `sent` is forgotten. */
  change(perSecond: number, nowUs: number, sent: number): void {
    this.#dueBefore = sent;
    this.#perSecond = perSecond;
    this.#sinceUs = nowUs;
  }

  /** How many messages are due in all. */
  dueUntil(nowUs: number): number {
    if (this.#perSecond === 0) return Number.POSITIVE_INFINITY;
    return this.#dueBefore + Math.max(0, Math.floor(((nowUs - this.#sinceUs) * this.#perSecond) / 1e6));
  }

  /** From when the latency of message `sequence` counts, if it is sent now. */
  startOf(sequence: number, nowUs: number): number {
    if (this.#perSecond === 0) return nowUs;
    const dueUs = this.#sinceUs + ((sequence + 1 - this.#dueBefore) * 1e6) / this.#perSecond;
    return nowUs - dueUs > TIMER_SLACK_US ? dueUs : nowUs;
  }
}
