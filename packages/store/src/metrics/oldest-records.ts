import type { QueueState } from '@sluice/queue/machine/queue-state';
import type { Partition } from '../partition/partition.ts';

/** A queue in one of its partitions. */
export interface QueuePart {
  partition: Partition;
  queue: Readonly<QueueState>;
}

/**
 * When the oldest unsettled record of each queue was appended: the exact lag in seconds.
 *
 * The row that says so is on the disk, and reading one a queue at each look would make a scrape of ten thousand queues
 * ten thousand reads. But a queue's first record stays its first until one of its records goes, and how many have gone is
 * in memory: so a stamp is kept with that number, and read again when it moved, all queues of a partition in one read.
 *
 * A machine's state is ahead of its rows for a moment, and a stamp kept by mistake would stay wrong for as long as the
 * queue stands still. So it is kept only when every row of that state was written before the read, and nothing went
 * during it; otherwise it counts for this look alone.
 */
export class OldestRecords {
  /** By the state of the queue, which goes with its machine. */
  readonly #known = new WeakMap<Readonly<QueueState>, Known>();

  /** How long a look waits for rows under way; on a disk that stalls it goes by what is there. */
  static readonly WRITTEN_MS_MAX = 100;
  static readonly SLICE_QUEUES = 256;

  /** Brings what `appendedAtMs` answers up to date. */
  async look(parts: readonly QueuePart[]): Promise<void> {
    const moved = new Map<Partition, { queue: Readonly<QueueState>; gone: number }[]>();
    for (const { partition, queue } of parts) {
      if (queue.depth === 0 || this.#known.get(queue)?.gone === goneOf(queue)) continue;
      const list = moved.get(partition) ?? [];
      list.push({ queue, gone: goneOf(queue) });
      moved.set(partition, list);
    }
    const [any] = moved.keys();
    if (any === undefined) return;
    const isWritten = await any.written(OldestRecords.WRITTEN_MS_MAX);
    for (const [partition, queues] of moved) {
      for (let from = 0; from < queues.length; from += OldestRecords.SLICE_QUEUES) {
        const slice = queues.slice(from, from + OldestRecords.SLICE_QUEUES);
        const stamps = await partition.index.oldestStamps(slice.map(({ queue }) => queue));
        for (const [i, { queue, gone }] of slice.entries()) {
          const holds = isWritten && goneOf(queue) === gone && stamps[i] !== 0;
          this.#known.set(queue, { gone: holds ? gone : UNKNOWN, appendedAtMs: stamps[i] as number });
        }
      }
    }
  }

  /** 0 when the queue holds nothing, or its first record has no row yet. */
  appendedAtMs(queue: Readonly<QueueState>): number {
    return queue.depth === 0 ? 0 : (this.#known.get(queue)?.appendedAtMs ?? 0);
  }
}

interface Known {
  /** How many records had gone when this was true. */
  gone: number;
  appendedAtMs: number;
}

const UNKNOWN = -1;

function goneOf({ published, depth }: Readonly<QueueState>): number {
  return published - depth;
}
