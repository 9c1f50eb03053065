import type { Clock } from '@sluice/common/clock';
import type { RetainedLookup } from './retained-lookup.ts';

/**
 * Partitions that nobody could be read from when somebody asked: without a leader, or with one that refuses or does not
 * answer. Such a time has no length that is known before, and a lookup that ends with what it has leaves its subscriber
 * without the rest for as long as it stays connected. So lookups wait here, without a question of their own: whoever looks
 * after the partitions asks for each of them, once at a time, and all that wait for one go on when it answers.
 *
 * Each partition is asked again after a pause that grows; one that answers and cannot be read all the same begins with the
 * pause that it had.
 */
export class UnreachedPartitions {
  readonly #clock: Clock;
  /** By partition; at most as many as there are. */
  readonly #partitions = new Map<number, Unreached>();
  readonly #waiting = new Set<RetainedLookup>();

  static readonly PAUSE_MS_MIN = 50;
  static readonly PAUSE_MS_MAX = 1_000;
  static readonly PAUSE_GROWTH = 1.2;
  /** One that was asked for in vain less than that ago goes on from the pause that it had. */
  static readonly FORGIVEN_AFTER_MS = 10_000;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Lookups that wait. */
  get size(): number {
    return this.#waiting.size;
  }

  has(partition: number): boolean {
    return this.#partitions.get(partition)?.isUnreached === true;
  }

  add(partition: number): void {
    const nowMs = this.#clock.monotonicMs();
    const known = this.#partitions.get(partition);
    if (known === undefined) {
      const pauseMs = UnreachedPartitions.PAUSE_MS_MIN;
      this.#partitions.set(partition, { isUnreached: true, pauseMs, nextMs: nowMs, reachedMs: 0 });
    } else if (!known.isUnreached) {
      known.isUnreached = true;
      const isForgiven = nowMs - known.reachedMs >= UnreachedPartitions.FORGIVEN_AFTER_MS;
      if (isForgiven) known.pauseMs = UnreachedPartitions.PAUSE_MS_MIN;
      known.nextMs = isForgiven ? nowMs : nowMs + known.pauseMs;
    }
  }

  wait(lookup: RetainedLookup): void {
    this.#waiting.add(lookup);
  }

  /** Returns whether it waited. */
  forget(lookup: RetainedLookup): boolean {
    return this.#waiting.delete(lookup);
  }

  /** Those whose pause is over, each with its next pause begun. */
  *due(): IterableIterator<number> {
    const nowMs = this.#clock.monotonicMs();
    for (const [partition, one] of this.#partitions) {
      if (!one.isUnreached || nowMs < one.nextMs) continue;
      one.pauseMs = Math.min(one.pauseMs * UnreachedPartitions.PAUSE_GROWTH, UnreachedPartitions.PAUSE_MS_MAX);
      one.nextMs = nowMs + one.pauseMs;
      yield partition;
    }
  }

  /** It answers. Returns who waited for it, and waits no more. */
  reached(partition: number): RetainedLookup[] {
    const known = this.#partitions.get(partition);
    if (known?.isUnreached !== true) return [];
    known.isUnreached = false;
    known.reachedMs = this.#clock.monotonicMs();
    const woken: RetainedLookup[] = [];
    for (const lookup of this.#waiting) if (lookup.mayBe(partition)) woken.push(lookup);
    for (const lookup of woken) this.#waiting.delete(lookup);
    return woken;
  }
}

interface Unreached {
  isUnreached: boolean;
  pauseMs: number;
  nextMs: number;
  reachedMs: number;
}
