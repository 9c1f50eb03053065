import type { Clock } from '@sluice/common/clock';
import type { Labels, Metrics } from '@sluice/common/metrics';
import type { QueueDefinition } from '@sluice/meta/queue-definition';
import type { Topology } from '@sluice/meta/topology';
import type { StoreQueueStatistics } from '@sluice/rpc/contract/store-admin';
import type { AdminService } from './service/admin-service.ts';

/**
 * Depth and lag on the metrics page, one set of series a queue led here.
 *
 * The age of the oldest message needs a look at the disk, and a scrape must not wait for one queue after the other: so
 * the figures are gathered right before a page is built (`refresh`), and the page reads what was gathered. A page has
 * room for so many queues; beyond that the deepest and the oldest are shown, and how many were left out. Queues that do
 * nothing fill what room is left and are not looked at otherwise.
 */
export class QueueMetrics {
  readonly #admin: AdminService;
  readonly #topology: Topology;
  readonly #clock: Clock;
  #shown: Shown[] = [];
  #left = 0;
  #nowMs = 0;

  static readonly QUEUES_MAX = 250;

  constructor(options: { admin: AdminService; topology: Topology; clock: Clock; metrics: Metrics }) {
    this.#admin = options.admin;
    this.#topology = options.topology;
    this.#clock = options.clock;
    this.#register(options.metrics);
  }

  async refresh(): Promise<void> {
    const all: Shown[] = [];
    for await (const figures of this.#admin.busyStatistics(QueueMetrics.QUEUES_MAX)) {
      const last = all.at(-1);
      if (last?.figures.queueId === figures.queueId) {
        last.figures = added(last.figures, figures);
        last.partitions++;
        continue;
      }
      const definition = this.#topology.queue(figures.queueId);
      if (definition !== undefined)
        all.push({ figures, definition, labels: { queue: definition.name }, partitions: 1 });
    }
    this.#nowMs = this.#clock.nowMs();
    this.#shown = all.length <= QueueMetrics.QUEUES_MAX ? all : worst(all, QueueMetrics.QUEUES_MAX);
    const shown = this.#shown.reduce((total, { partitions }) => total + partitions, 0);
    this.#left = Math.max(0, this.#admin.queueCount - shown);
  }

  #register(metrics: Metrics): void {
    for (const [name, type, help, read] of FAMILIES) {
      metrics.collect(name, help, type, () => this.#series(read));
    }
    metrics.collect('sluice_queue_rejected_total', 'Refused publishes, by reason', 'counter', () =>
      this.#shown.map(({ figures, labels }): [Labels, number] => [{ ...labels, reason: 'full' }, figures.refusedTotal]),
    );
    metrics.collect('sluice_queue_limit_ratio', 'How far a queue is towards a limit, 0 to 1', 'gauge', () =>
      this.#ratios(),
    );
    metrics.collect('sluice_queue_info', 'Always 1; joins a queue to what it is', 'gauge', () =>
      this.#shown.map(({ definition, labels }): [Labels, number] => [
        { ...labels, type: definition.isLastValue ? 'last_value' : 'task', strategy: definition.dispatchStrategy },
        1,
      ]),
    );
    metrics.collect('sluice_metrics_dropped_queues', 'Queues this page had no room for, by partition', 'gauge', () => [
      [{}, this.#left],
    ]);
  }

  *#series(read: Read): Iterable<[Labels, number]> {
    for (const { figures, labels } of this.#shown) yield [labels, read(figures, this.#nowMs)];
  }

  *#ratios(): Iterable<[Labels, number]> {
    for (const { figures, definition, labels } of this.#shown) {
      const { countMax, bytesMax } = definition.limits;
      if (countMax !== null) yield [{ ...labels, limit: 'messages' }, figures.depth / countMax];
      if (bytesMax !== null) yield [{ ...labels, limit: 'bytes' }, figures.depthBytes / bytesMax];
    }
  }
}

interface Shown {
  /** Over all its partitions led here. */
  figures: StoreQueueStatistics;
  definition: QueueDefinition;
  labels: { queue: string };
  partitions: number;
}

/** Of one queue in two partitions. A consumer is attached to several of them: adding up would count it several times. */
function added(one: StoreQueueStatistics, other: StoreQueueStatistics): StoreQueueStatistics {
  const ages = [one.oldestAppendedAtMs, other.oldestAppendedAtMs].filter((atMs) => atMs > 0);
  return {
    ...one,
    depth: one.depth + other.depth,
    depthBytes: one.depthBytes + other.depthBytes,
    inflight: one.inflight + other.inflight,
    consumers: Math.max(one.consumers, other.consumers),
    keys: one.keys + other.keys,
    oldestAppendedAtMs: ages.length === 0 ? 0 : Math.min(...ages),
    publishedTotal: one.publishedTotal + other.publishedTotal,
    publishedBytesTotal: one.publishedBytesTotal + other.publishedBytesTotal,
    acceptedTotal: one.acceptedTotal + other.acceptedTotal,
    returnedTotal: one.returnedTotal + other.returnedTotal,
    refusedTotal: one.refusedTotal + other.refusedTotal,
    expiredTotal: one.expiredTotal + other.expiredTotal,
    overwrittenTotal: one.overwrittenTotal + other.overwrittenTotal,
    droppedTotal: one.droppedTotal + other.droppedTotal,
    purgedTotal: one.purgedTotal + other.purgedTotal,
    deliveredTotal: one.deliveredTotal + other.deliveredTotal,
    redeliveredTotal: one.redeliveredTotal + other.redeliveredTotal,
  };
}

type Read = (figures: StoreQueueStatistics, nowMs: number) => number;

const ageSeconds: Read = (figures, nowMs) =>
  figures.oldestAppendedAtMs === 0 ? 0 : Math.max(0, nowMs - figures.oldestAppendedAtMs) / 1000;

const FAMILIES: readonly [name: string, type: 'gauge' | 'counter', help: string, read: Read][] = [
  ['sluice_queue_depth_messages', 'gauge', 'Messages stored and not settled', (queue) => queue.depth],
  ['sluice_queue_depth_bytes', 'gauge', 'Bytes of the messages stored and not settled', (queue) => queue.depthBytes],
  [
    'sluice_queue_ready_messages',
    'gauge',
    'Messages deliverable now',
    (queue) => Math.max(0, queue.depth - queue.inflight),
  ],
  ['sluice_queue_inflight_messages', 'gauge', 'Messages delivered and not answered', (queue) => queue.inflight],
  ['sluice_queue_oldest_message_age_seconds', 'gauge', 'Age of the oldest unsettled message; 0 when empty', ageSeconds],
  ['sluice_queue_keys', 'gauge', 'Live keys of a last-value queue', (queue) => queue.keys],
  ['sluice_queue_published_total', 'counter', 'Messages committed', (queue) => queue.publishedTotal],
  [
    'sluice_queue_published_bytes_total',
    'counter',
    'Bytes of messages committed',
    (queue) => queue.publishedBytesTotal,
  ],
  [
    'sluice_queue_expired_total',
    'counter',
    'Messages that expired, by their own or the queue period',
    (queue) => queue.expiredTotal,
  ],
  [
    'sluice_queue_overwritten_total',
    'counter',
    'Values replaced by a newer one of their key',
    (queue) => queue.overwrittenTotal,
  ],
  [
    'sluice_queue_dropped_total',
    'counter',
    'Messages given up for newer ones by drop_oldest',
    (queue) => queue.droppedTotal,
  ],
  ['sluice_queue_purged_total', 'counter', 'Messages purged by an operator', (queue) => queue.purgedTotal],
  [
    'sluice_consumer_lag_messages',
    'gauge',
    'Committed and not acknowledged, in flight included',
    (queue) => queue.depth,
  ],
  [
    'sluice_consumer_lag_seconds',
    'gauge',
    'Age of the oldest message not acknowledged; 0 when there is none',
    ageSeconds,
  ],
  ['sluice_consumer_members', 'gauge', 'Consumers attached', (queue) => queue.consumers],
  [
    'sluice_consumer_delivered_total',
    'counter',
    'Deliveries, since this leader leads',
    (queue) => queue.deliveredTotal,
  ],
  [
    'sluice_consumer_redelivered_total',
    'counter',
    'Deliveries of messages given back, since this leader leads',
    (queue) => queue.redeliveredTotal,
  ],
  ['sluice_consumer_acked_total', 'counter', 'Messages acknowledged', (queue) => queue.acceptedTotal],
  [
    'sluice_consumer_returned_total',
    'counter',
    'Messages rejected, or given back by a consumer that left',
    (queue) => queue.returnedTotal,
  ],
];

/** Half by age, half by depth: a short queue that nobody serves is worse than a long one that moves. */
function worst(all: Shown[], count: number): Shown[] {
  const byAge = [...all].sort(
    (a, b) => (a.figures.oldestAppendedAtMs || Infinity) - (b.figures.oldestAppendedAtMs || Infinity),
  );
  const shown = new Set(byAge.slice(0, count / 2));
  const byDepth = [...all].sort((a, b) => b.figures.depth - a.figures.depth);
  for (const queue of byDepth) {
    if (shown.size >= count) break;
    shown.add(queue);
  }
  return [...shown];
}
