import type { QueueState } from '@sluice/queue/machine/queue-state';
import { Violation } from '../simulation.ts';

/**
 * What a queue's limits promise while they change, looked at in the rows that leaders have applied: with `refuse` a queue
 * never grows beyond its limit, however long it was when the limit came; with `drop_oldest` it is trimmed soon. And each
 * record that was stored left in one way that is counted, or is there.
 */
export class LimitCheck {
  readonly #isCalm: () => boolean;
  /** By queue and partition. */
  readonly #seen = new Map<string, Seen>();
  looks = 0;

  /** From a queue that is too long until it is within its limit, where nothing is done to anybody. */
  static readonly TRIM_MS_MAX = 2_000;

  constructor(isCalm: () => boolean) {
    this.#isCalm = isCalm;
  }

  /** @throws Violation */
  look(queue: Readonly<QueueState>, partition: number, nowMs: number): void {
    this.looks++;
    const { queueId, version, depth, countMax, overflow } = queue;
    const gone = goneOf(queue);
    if (queue.published !== depth + gone) {
      throw new Violation(
        'counted',
        `${queue.name} in ${partition}: ${queue.published} came, ${depth} + ${gone} are told`,
      );
    }
    const key = `${queueId}:${partition}`;
    const seen = this.#seen.get(key);
    const progress = queue.published + gone;
    // A new leader may have applied less than the former one had.
    if (seen !== undefined && (version < seen.version || progress < seen.progress)) return;
    const isNew = seen === undefined || seen.version < version;
    const isOver = countMax !== null && depth > countMax;
    if (isNew || !isOver) {
      this.#seen.set(key, { version, progress, depth, overTail: queue.tail, overSinceMs: isOver ? nowMs : undefined });
      return;
    }
    const said = `${queue.name} in ${partition} holds ${depth} of ${countMax} (${overflow}, version ${version})`;
    if (overflow === 'refuse' && (seen.overSinceMs === undefined || depth > seen.depth)) {
      throw new Violation('limit', `${said}, and held ${seen.depth} before`);
    }
    seen.depth = depth;
    seen.progress = progress;
    if (seen.overSinceMs === undefined) {
      seen.overSinceMs = nowMs;
      seen.overTail = queue.tail;
    }
    if (overflow === 'refuse' || !this.#isCalm() || nowMs - seen.overSinceMs <= LimitCheck.TRIM_MS_MAX) return;
    // Where more comes all the time it is too long whenever somebody looks: what was there at the first look must go.
    if (depth - (queue.tail - seen.overTail) > countMax) {
      throw new Violation('limit', `${said} since ${seen.overSinceMs}, at ${nowMs}`);
    }
    seen.overSinceMs = nowMs;
    seen.overTail = queue.tail;
  }
}

function goneOf(queue: Readonly<QueueState>): number {
  const { accepted, expired, overwritten } = queue;
  const dropped = queue.droppedExpired + queue.droppedPurged + queue.droppedOverflow + queue.droppedRemoved;
  return accepted + expired + overwritten + dropped;
}

interface Seen {
  readonly version: number;
  depth: number;
  /** What came, and what went. */
  progress: number;
  /** Where it ended when it was first seen to be too long. */
  overTail: number;
  /** Longer than its limit at every look since. */
  overSinceMs: number | undefined;
}
