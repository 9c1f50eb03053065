import type { Metrics } from '@sluice/common/metrics';
import { RETAINED_QUEUE_ID } from '@sluice/queue/machine/internal-queues';
import type { QueueState } from '@sluice/queue/machine/queue-state';
import type { Partition } from '../partition/partition.ts';

/** What the partitions led here retain: summed over stores it is what the cluster does. */
export function collectRetainedMetrics(metrics: Metrics, partitions: ReadonlyMap<number, Partition>): void {
  const sum = (read: (queue: Readonly<QueueState>) => number): [Record<string, never>, number][] => {
    let total = 0;
    for (const { leads, queues } of partitions.values()) {
      const queue = leads ? queues.queue(RETAINED_QUEUE_ID) : undefined;
      if (queue !== undefined) total += read(queue);
    }
    return [[{}, total]];
  };
  const p = 'sluice_retained_';
  metrics.collect(`${p}messages`, 'Retained messages in partitions led here', 'gauge', () => sum(({ depth }) => depth));
  metrics.collect(`${p}bytes`, 'Their bytes', 'gauge', () => sum(({ depthBytes }) => depthBytes));
  metrics.collect(`${p}limit_messages`, 'How many these partitions may retain', 'gauge', () =>
    sum(({ countMax }) => countMax ?? 0),
  );
  metrics.collect(`${p}limit_bytes`, 'And how many bytes', 'gauge', () => sum(({ bytesMax }) => bytesMax ?? 0));
  metrics.collect(
    `${p}refused_total`,
    'Retained messages refused because one of the limits was reached',
    'counter',
    () => sum(({ refused }) => refused),
  );
  metrics.collect(`${p}expired_total`, 'Retained messages removed because they expired', 'counter', () =>
    sum(({ expired }) => expired),
  );
}
