import type { Logger } from '@sluice/common/logger';
import type { Partition } from '../partition/partition.ts';

/**
 * Walks through the rows of every partition led here, round and round, a step at a time: what nobody consumes or misses
 * goes only when somebody looks at it, and to look at all of it at once would hold up everybody else.
 *
 * A walk belongs to a leadership: with it ends the place where it stands.
 */
export class PartitionWalks<Place> {
  readonly #partitions: ReadonlyMap<number, Partition>;
  readonly #logger: Logger;
  readonly #step: (partition: Partition, from: Place | undefined) => Promise<Place | undefined>;
  readonly #complaint: string;
  /** Of partitions without one, the walk is at the beginning. Of one that was given up between two walks nothing is kept. */
  readonly #places = new WeakMap<Partition, Place>();
  #timer: NodeJS.Timeout | undefined;
  #walking = false;

  constructor(options: {
    partitions: ReadonlyMap<number, Partition>;
    logger: Logger;
    /** Looks at some rows from there on, and returns where to go on; undefined: at the beginning. */
    step: (partition: Partition, from: Place | undefined) => Promise<Place | undefined>;
    /** What is logged of a step that failed; the next one tries it again. */
    complaint: string;
  }) {
    this.#partitions = options.partitions;
    this.#logger = options.logger;
    this.#step = options.step;
    this.#complaint = options.complaint;
  }

  start(everyMs: number): void {
    this.#timer = setInterval(() => void this.walk(), everyMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** One step of every walk. */
  async walk(): Promise<void> {
    if (this.#walking) return;
    this.#walking = true;
    for (const partition of this.#partitions.values()) await this.#stepOf(partition);
    this.#walking = false;
  }

  /** One that fails stays where it is, and keeps no other from its step. */
  async #stepOf(partition: Partition): Promise<void> {
    try {
      const next = partition.leads ? await this.#step(partition, this.#places.get(partition)) : undefined;
      if (next === undefined) this.#places.delete(partition);
      else this.#places.set(partition, next);
    } catch (cause) {
      this.#logger.error({ err: cause, partition: partition.groupId }, this.#complaint);
    }
  }
}
