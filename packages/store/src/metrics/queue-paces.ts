import type { Clock } from '@sluice/common/clock';
import type { QueueState } from '@sluice/queue/machine/queue-state';
import type { Partition } from '../partition/partition.ts';
import { QueuePace } from './queue-pace.ts';

/**
 * The pace of every queue led here that does something. Looked at by a timer and not by scrapes: with two scrapers each
 * would see half of the time. Queues that do nothing cost nothing.
 */
export class QueuePaces {
  readonly #partitions: ReadonlyMap<number, Partition>;
  readonly #clock: Clock;
  readonly #paces = new WeakMap<Readonly<QueueState>, QueuePace>();
  #timer: NodeJS.Timeout | undefined;
  #looking = false;

  static readonly LOOK_MS = 5_000;
  /** Before others have their turn. */
  static readonly SLICE_QUEUES = 2_048;

  constructor(partitions: ReadonlyMap<number, Partition>, clock: Clock) {
    this.#partitions = partitions;
    this.#clock = clock;
  }

  start(): void {
    this.#timer = setInterval(() => void this.look(), QueuePaces.LOOK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  of(queue: Readonly<QueueState>): QueuePace | undefined {
    return this.#paces.get(queue);
  }

  async look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    let looked = 0;
    for (const partition of [...this.#partitions.values()]) {
      if (!partition.leads) continue;
      for (const queueId of new Set(partition.busyQueueIds())) {
        const queue = partition.queues.queue(queueId);
        if (queue !== undefined) this.#look(queue);
        if (++looked % QueuePaces.SLICE_QUEUES === 0) await new Promise((resolve) => setImmediate(resolve));
      }
    }
    this.#looking = false;
  }

  #look(queue: Readonly<QueueState>): void {
    let pace = this.#paces.get(queue);
    if (pace === undefined) {
      pace = new QueuePace();
      this.#paces.set(queue, pace);
    }
    pace.look(this.#clock.monotonicMs(), queue.published, queue.published - queue.depth, queue.accepted);
  }
}
