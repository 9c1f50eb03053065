import type { Counter, Metrics } from '@sluice/common/metrics';
import type { BegunOnce } from '../sweep/row-dropper.ts';

/** What a queue should have lost and still has. */
export function dropFailures(metrics: Metrics): Readonly<Record<BegunOnce, Counter>> {
  const failures = (reason: BegunOnce): Counter =>
    metrics.counter(
      'sluice_queue_drops_failed_total',
      'Walks through queues over their limits, and through removed ones, that failed and are tried again',
      { reason },
    );
  return { overflow: failures('overflow'), removed: failures('removed') };
}
