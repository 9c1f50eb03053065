import { SluiceError } from '@sluice/common/errors';
import type { RaftHost } from '@sluice/multiraft/raft-host';
import type { QueueMetrics, QueuePageFamily } from '@sluice/store/metrics/queue-metrics';
import { PrometheusMetrics } from '@sluice/telemetry/prometheus-metrics';

/** Ten thousand queues, coarse, with room to spare. */
const DETAIL_SERIES_MAX = 130_000;
/** Anybody may ask for these pages, and the larger ones are megabytes. */
const DETAIL_PAGES_MAX = 4;

/**
 * What this node tells scrapers: the page of everything within a bound, and pages of the detail, each built when somebody
 * asks for it. At most `DETAIL_PAGES_MAX` of these are being built or read at once; beyond that they are refused.
 */
export class MetricsPages {
  readonly #metrics: PrometheusMetrics;
  readonly #queues: QueueMetrics | undefined;
  readonly #host: RaftHost | undefined;
  #open = 0;

  constructor(metrics: PrometheusMetrics, queues: QueueMetrics | undefined, host: RaftHost | undefined) {
    this.#metrics = metrics;
    this.#queues = queues;
    this.#host = host;
  }

  async page(): Promise<string> {
    await this.#queues?.refresh();
    return await this.#metrics.page();
  }

  /** Every queue led here whose name matches. */
  queues(family: QueuePageFamily, matches: (name: string) => boolean): AsyncIterable<string> {
    return this.#detail(async (metrics) => this.#queues?.describe(metrics, family, matches));
  }

  /** Every Raft group of this node. */
  groups(): AsyncIterable<string> {
    return this.#detail(async (metrics) => this.#host?.gauges.describe(metrics));
  }

  /** @throws SluiceError `METRICS_BUSY` */
  #detail(describe: (metrics: PrometheusMetrics) => Promise<void>): AsyncIterable<string> {
    if (this.#open >= DETAIL_PAGES_MAX) {
      throw new SluiceError('METRICS_BUSY', `${DETAIL_PAGES_MAX} pages of metrics are being read already`, {
        hint: 'ask again later, or by fewer scrapers',
        retriable: true,
      });
    }
    return this.#pieces(describe);
  }

  async *#pieces(describe: (metrics: PrometheusMetrics) => Promise<void>): AsyncIterable<string> {
    // Not before it is read: of a page that nobody begins to read, nobody would hear that it is over.
    this.#open++;
    try {
      const metrics = new PrometheusMetrics({ seriesMax: DETAIL_SERIES_MAX });
      await describe(metrics);
      yield* metrics.pieces();
    } finally {
      this.#open--;
    }
  }
}
