import type { Histogram, Labels, Metrics } from '@sluice/common/metrics';
import { QUEUE_FAMILIES, QUEUE_HISTOGRAMS, type QueueFamily } from './queue-families.ts';
import type { QueueFigures } from './queue-figures.ts';
import type { QueueGatherer } from './queue-gatherer.ts';

/** `coarse`: how deep and how late. `full`: everything but histograms. `latency`: these. */
const QUEUE_PAGE_FAMILIES = ['coarse', 'full', 'latency'] as const;
export type QueuePageFamily = (typeof QUEUE_PAGE_FAMILIES)[number];

/**
 * Queues on the metrics pages, one set of series for each that is led here: each is on one node's page, and vanishes from
 * there with its leader, its consumers or itself.
 *
 * What a page says is gathered right before it is built (`refresh`), and read when it is. The default page has room for so
 * many queues; beyond that the deepest and the oldest are shown, and how many were left out. All of them are on a page of
 * their own (`describe`), which is built when somebody asks.
 */
export class QueueMetrics {
  readonly #gatherer: QueueGatherer;
  #shown: readonly QueueFigures[] = [];
  #left = 0;

  static readonly QUEUES_MAX = 200;
  /** A histogram is nineteen lines. */
  static readonly HISTOGRAM_QUEUES_MAX = 50;

  constructor(gatherer: QueueGatherer, metrics: Metrics) {
    this.#gatherer = gatherer;
    registerFamilies(metrics, QUEUE_FAMILIES, () => this.#shown);
    registerInfo(metrics, () => this.#shown);
    registerHistograms(metrics, () => this.#shown.slice(0, QueueMetrics.HISTOGRAM_QUEUES_MAX));
    metrics.collect('sluice_metrics_dropped_queues', 'Queues this page had no room for, by partition', 'gauge', () => [
      [{}, this.#left],
    ]);
  }

  async refresh(): Promise<void> {
    this.#shown = await this.#gatherer.busy(QueueMetrics.QUEUES_MAX);
    const shown = this.#shown.reduce((total, { partitions }) => total + partitions, 0);
    this.#left = Math.max(0, this.#gatherer.queueCount - shown);
  }

  /** Registers all queues whose names match with the metrics of a page of their own. */
  async describe(metrics: Metrics, page: QueuePageFamily, matches: (name: string) => boolean): Promise<void> {
    const queues = await this.#gatherer.named(matches);
    if (page === 'latency') {
      registerHistograms(metrics, () => queues);
      return;
    }
    const families = page === 'full' ? QUEUE_FAMILIES : QUEUE_FAMILIES.filter(({ isCoarse }) => isCoarse);
    registerFamilies(metrics, families, () => queues);
    if (page === 'full') registerInfo(metrics, () => queues);
  }
}

type Shown = () => readonly QueueFigures[];

function registerFamilies(metrics: Metrics, families: readonly QueueFamily[], shown: Shown): void {
  for (const family of families) {
    metrics.collect(family.name, family.help, family.type, () => seriesOf(family, shown()));
  }
}

function* seriesOf({ series }: QueueFamily, queues: readonly QueueFigures[]): Iterable<[Labels, number]> {
  for (const queue of queues) {
    for (const [labels, read] of series) {
      const value = read(queue);
      if (!Number.isNaN(value)) yield [{ ...queue.labels, ...labels }, value];
    }
  }
}

function registerInfo(metrics: Metrics, shown: Shown): void {
  metrics.collect('sluice_queue_info', 'Always 1; joins a queue to what it is', 'gauge', () =>
    shown().map(({ definition, labels }): [Labels, number] => [
      { ...labels, type: definition.isLastValue ? 'last_value' : 'task', strategy: definition.dispatchStrategy },
      1,
    ]),
  );
}

function registerHistograms(metrics: Metrics, shown: Shown): void {
  for (const { name, help, read } of QUEUE_HISTOGRAMS) {
    metrics.collectHistograms(name, help, function* (): Iterable<[Labels, Histogram]> {
      for (const queue of shown()) {
        const histogram = read(queue);
        if (histogram !== undefined) yield [queue.labels, histogram];
      }
    });
  }
}
