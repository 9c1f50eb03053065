import type { Logger } from '@sluice/common/logger';
import type { PartitionLane } from './partition-lane.ts';

/**
 * Says which partitions keep publishers waiting, and on what. A publisher that stands still looks the same whatever the
 * cause: nobody leads, a leader that took the batch and does not answer, a store that refuses each time, an answer that
 * was lost while others come. The deadline ends the wait without telling them apart, and by then the moment is gone.
 *
 * So a lane whose oldest batch waits for `STALL_MS` is described while it waits, again every `REPEAT_MS`, and once more
 * when it flows. A lane that does well costs one comparison a sweep.
 */
export class StallWatch {
  readonly #logger: Logger;
  readonly #leaderOf: (partition: number) => number;
  readonly #stalls = new Map<PartitionLane, Stall>();

  static readonly STALL_MS = 5_000;
  static readonly REPEAT_MS = 10_000;

  constructor(logger: Logger, leaderOf: (partition: number) => number) {
    this.#logger = logger;
    this.#leaderOf = leaderOf;
  }

  /** Partitions whose publishers wait for longer than `STALL_MS`. */
  get stalled(): number {
    return this.#stalls.size;
  }

  look(lane: PartitionLane, nowMs: number): void {
    const { head } = lane;
    if (head !== undefined && nowMs - head.createdMs >= StallWatch.STALL_MS) this.#waits(lane, head.createdMs, nowMs);
    else if (this.#stalls.size > 0) this.#flows(lane, nowMs);
  }

  /** What waited was given up. Whoever reads of an answer at night must not take silence for one. */
  gaveUp(lane: PartitionLane): void {
    if (lane.head === undefined) this.#stalls.delete(lane);
  }

  #waits(lane: PartitionLane, sinceMs: number, nowMs: number): void {
    const stall = this.#stalls.get(lane);
    if (stall !== undefined && nowMs - stall.toldMs < StallWatch.REPEAT_MS) return;
    if (stall === undefined) this.#stalls.set(lane, { sinceMs, toldMs: nowMs });
    else stall.toldMs = nowMs;
    this.#logger.warn(
      {
        partition: lane.partition,
        waitedMs: Math.round(nowMs - sinceMs),
        ...lane.describe(nowMs),
        leader: this.#leaderOf(lane.partition),
      },
      'publishers wait for a partition',
    );
  }

  #flows(lane: PartitionLane, nowMs: number): void {
    const stall = this.#stalls.get(lane);
    if (stall === undefined) return;
    this.#stalls.delete(lane);
    const { partition } = lane;
    this.#logger.info(
      { partition, waitedMs: Math.round(nowMs - stall.sinceMs) },
      'a partition answers publishers again',
    );
  }
}

interface Stall {
  /** Of the batch that waited first. */
  sinceMs: number;
  toldMs: number;
}
