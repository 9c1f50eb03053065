import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import type { Metrics } from '@sluice/common/metrics';

/** Each sample wakes the process. At the default of ten milliseconds that would be nearly all that an idle node does. */
const RESOLUTION_MS = 500;
/** Two scrapers must not take each other's maximum away. */
const WINDOW_MS_MIN = 5_000;

/**
 * How late the event loop runs its timers. Everything in a node waits for it, so this is the first number to look at
 * when latencies grow. The sampler counts its own interval in every sample; what is reported is the lateness alone,
 * over the time since an earlier scrape, at least five seconds before.
 */
export class EventLoopLag {
  readonly #histogram: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  #windowStartedMs = performance.now();

  constructor(metrics: Metrics) {
    this.#histogram.enable();
    metrics.collect(
      'sluice_process_event_loop_lag_seconds',
      'How late the event loop ran its timers since the last scrapes.',
      'gauge',
      () => this.#read(),
    );
  }

  close(): void {
    this.#histogram.disable();
  }

  #read(): [{ stat: string }, number][] {
    const histogram = this.#histogram;
    const empty = histogram.count === 0;
    const rows: [{ stat: string }, number][] = [
      [{ stat: 'p50' }, empty ? 0 : latenessSeconds(histogram.percentile(50))],
      [{ stat: 'p99' }, empty ? 0 : latenessSeconds(histogram.percentile(99))],
      [{ stat: 'max' }, empty ? 0 : latenessSeconds(histogram.max)],
    ];
    const nowMs = performance.now();
    if (nowMs - this.#windowStartedMs >= WINDOW_MS_MIN) {
      this.#windowStartedMs = nowMs;
      histogram.reset();
    }
    return rows;
  }
}

function latenessSeconds(sampleNs: number): number {
  return Math.max(0, sampleNs / 1e9 - RESOLUTION_MS / 1e3);
}
