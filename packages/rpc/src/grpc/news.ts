import type { Clock } from '@sluice/common/clock';

/** A thing that is still so is told again after this time. */
const TELL_AGAIN_MS = 60_000;
/** What nodes that start or join do to each other passes within this; it is told when it does not. */
export const PASSING_MS = 30_000;
/** Whoever fills this with keys makes the log forget, never grow. */
const REMEMBERED_MAX = 1_024;

/**
 * What a log is told of things that repeat: each once a minute, and of what usually passes by itself only when it has
 * gone on for a while. A log that warns at every healthy start teaches its readers to pass over warnings.
 */
export class News {
  readonly #clock: Clock;
  readonly #known = new Map<string, { sinceMs: number; lastMs: number; toldMs: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** It happened: true when that should be told. */
  isNews(key: string, patienceMs = 0): boolean {
    const nowMs = this.#clock.monotonicMs();
    let known = this.#known.get(key);
    if (known === undefined || nowMs - known.lastMs >= TELL_AGAIN_MS) {
      if (this.#known.size >= REMEMBERED_MAX) this.#known.clear();
      known = { sinceMs: nowMs, lastMs: nowMs, toldMs: Number.NEGATIVE_INFINITY };
      this.#known.set(key, known);
    }
    known.lastMs = nowMs;
    if (nowMs - known.sinceMs < patienceMs || nowMs - known.toldMs < TELL_AGAIN_MS) return false;
    known.toldMs = nowMs;
    return true;
  }
}
