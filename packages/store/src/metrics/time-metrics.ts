import type { Clock } from '@sluice/common/clock';
import type { Metrics } from '@sluice/common/metrics';
import type { Partition } from '../partition/partition.ts';

/**
 * A partition's time is the highest stamp in its log. One that a wrong clock stamped stays in force until real time has caught up: what is
 * stored meanwhile seems to be of then, so it looks young to retention and lag, and sessions and wills wait for that time.
 */
export function collectTimeMetrics(
  metrics: Metrics,
  { partitions, clock }: { partitions: ReadonlyMap<number, Partition>; clock: Clock },
): void {
  metrics.collect(
    'sluice_store_time_ahead_seconds',
    'Of the partitions led here the one whose time, the highest stamp in its log, is furthest ahead of the time that this node goes by',
    'gauge',
    () => {
      const nowMs = clock.nowMs();
      let aheadMs = 0;
      for (const { leads, queues } of partitions.values()) if (leads) aheadMs = Math.max(aheadMs, queues.nowMs - nowMs);
      return [[{}, aheadMs / 1000]];
    },
  );
}
