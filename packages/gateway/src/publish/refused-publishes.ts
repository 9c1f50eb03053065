import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { Counter, Metrics } from '@sluice/common/metrics';
import type { Topology } from '@sluice/meta/topology';
import type { RecordFailure } from '@sluice/store-client/publish/partition-lane';
import type { Publisher } from './durable-publish.ts';

/**
 * An MQTT 3.1.1 client cannot be told why its publish was refused: its connection ends, and it comes again. Without a line
 * in the log nobody learns that a queue is full but who looks at the metrics of that queue. A line for each would be
 * thousands a second, from the moment on at which somebody needs to read them: one stands for all of the next seconds.
 */
export class RefusedPublishes {
  readonly #topology: Pick<Topology, 'queuesFor'>;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #total: Counter;
  #lastWarningMs = Number.NEGATIVE_INFINITY;

  static readonly WARNING_INTERVAL_MS = 10_000;

  constructor(options: { topology: Pick<Topology, 'queuesFor'>; clock: Clock; logger: Logger; metrics: Metrics }) {
    this.#topology = options.topology;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#total = options.metrics.counter(
      'sluice_gateway_publish_refused_total',
      'Publishes that a queue refused, or of which nobody knows',
    );
  }

  add(topic: string, publisher: Publisher, reason: RecordFailure): void {
    this.#total.add();
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#lastWarningMs < RefusedPublishes.WARNING_INTERVAL_MS) return;
    this.#lastWarningMs = nowMs;
    const queues = this.#topology.queuesFor(topic).slice(0, QUEUES_SHOWN_MAX);
    this.#logger.warn(
      { client: publisher.clientId, topic, reason, queues: queues.map(({ name }) => name) },
      'a publish was refused; for ten seconds no other is logged',
    );
  }
}

const QUEUES_SHOWN_MAX = 10;
