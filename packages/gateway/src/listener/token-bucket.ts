/**
 * A rate with room for a burst: so much flows in each second, up to one second's worth is kept. Time is an argument. What is
 * taken may be more than a second's worth: it passes when that is full, and the debt is paid before anything more is taken,
 * so that one large message passes and the mean holds.
 */
export class TokenBucket {
  readonly #perSecond: number;
  #tokens: number;
  #filledMs: number;

  constructor(perSecond: number, nowMs: number) {
    this.#perSecond = perSecond;
    this.#tokens = perSecond;
    this.#filledMs = nowMs;
  }

  /** False when there is not enough: nothing was taken then. */
  take(amount: number, nowMs: number): boolean {
    this.#fill(nowMs);
    if (this.#tokens < Math.min(amount, this.#perSecond)) return false;
    this.#tokens -= amount;
    return true;
  }

  /** Takes it in any case. True when there is a debt now: nothing more is to come until it is paid. */
  spend(amount: number, nowMs: number): boolean {
    this.#fill(nowMs);
    this.#tokens -= amount;
    return this.#tokens < 0;
  }

  isInDebt(nowMs: number): boolean {
    this.#fill(nowMs);
    return this.#tokens < 0;
  }

  /** A clock that goes back gives nothing. */
  #fill(nowMs: number): void {
    if (nowMs <= this.#filledMs) return;
    const gained = ((nowMs - this.#filledMs) * this.#perSecond) / 1000;
    this.#tokens = Math.min(this.#perSecond, this.#tokens + gained);
    this.#filledMs = nowMs;
  }
}
