import type { Clock } from '@sluice/common/clock';
import { Histogram } from '@sluice/common/metrics';
import type { QueueDefinition } from '@sluice/meta/queue-definition';
import { CONSUMER_STATUSES, consumerStatus, drainSeconds } from '@sluice/queue/dispatch/consumer-status';
import type { QueueState } from '@sluice/queue/machine/queue-state';
import type { QueuePart } from './oldest-records.ts';
import type { QueuePace } from './queue-pace.ts';

/**
 * What is to be known of one queue, over all its partitions led here, at one moment. Counters are those of the replicated
 * machine wherever it has them: the next leader goes on with the same number.
 */
export class QueueFigures {
  readonly definition: QueueDefinition;
  readonly labels: { queue: string };
  readonly objectiveMs: number;
  readonly #nowMs: number;
  readonly #monotonicMs: number;
  partitions = 0;
  depth = 0;
  depthBytes = 0;
  inflight = 0;
  /** Of those that nobody has: rejected, and resting before the next delivery. */
  delayed = 0;
  tooLarge = 0;
  keys = 0;
  consumers = 0;
  windowTotal = 0;
  rebalances = 0;
  /** Handed out so often that it looks as if nobody could do it. */
  stuck = 0;
  published = 0;
  publishedBytes = 0;
  accepted = 0;
  returned = 0;
  refused = 0;
  expired = 0;
  overwritten = 0;
  dropped = 0;
  purged = 0;
  delivered = 0;
  redeliveredRejected = 0;
  redeliveredDetached = 0;
  redeliveredFailover = 0;
  /** Undefined as long as nothing was delivered from here. */
  waitSeconds: Histogram | undefined;
  processingSeconds: Histogram | undefined;
  #oldestAtMs = Number.POSITIVE_INFINITY;
  #oldestHeldSinceMs = Number.POSITIVE_INFINITY;
  readonly #activeClients = new Set<string>();
  /** Undefined as long as it is unknown of any partition. */
  #publishedPace: number | undefined = 0;
  #gonePace: number | undefined = 0;
  #acceptedMs = 0;
  #quietSinceMs = 0;

  /** A consumer that acknowledged nothing for longer is attached, and not active. */
  static readonly ACTIVE_MS = 60_000;
  /** From this delivery on, a record counts as stuck. */
  static readonly STUCK_DELIVERIES = 5;

  /** `objectiveMs` holds for queues without an objective of their own. */
  constructor(definition: QueueDefinition, objectiveMs: number, clock: Clock) {
    this.definition = definition;
    this.labels = { queue: definition.name };
    this.objectiveMs = definition.lagObjectiveMs ?? objectiveMs;
    this.#nowMs = clock.nowMs();
    this.#monotonicMs = clock.monotonicMs();
  }

  add({ partition, queue }: QueuePart, oldestAtMs: number, pace: QueuePace | undefined): void {
    this.partitions++;
    this.#addState(queue);
    if (oldestAtMs > 0) this.#oldestAtMs = Math.min(this.#oldestAtMs, oldestAtMs);
    this.#publishedPace = sumOf(this.#publishedPace, pace?.published);
    this.#gonePace = sumOf(this.#gonePace, pace?.gone);
    this.#acceptedMs = Math.max(this.#acceptedMs, pace?.acceptedMs ?? 0);
    this.#quietSinceMs = Math.max(this.#quietSinceMs, pace?.acceptedMs ?? 0, pace?.sinceMs ?? 0);
    const dispatch = partition.dispatches.get(queue.queueId);
    if (dispatch !== undefined) {
      const { load } = dispatch;
      const sinceMs = this.#monotonicMs - QueueFigures.ACTIVE_MS;
      for (const { dispatchId, clientId } of dispatch.consumers()) {
        if (load.acceptedMsOf(dispatchId) >= sinceMs) this.#activeClients.add(clientId);
      }
      this.inflight += load.inflight;
      this.delayed += load.delayedCount;
      this.tooLarge += load.tooLargeCount;
      // Attached to several partitions, a consumer would count several times.
      this.consumers = Math.max(this.consumers, load.consumerCount);
      this.windowTotal += load.windowTotal;
      this.stuck += load.countDeliveredOften(QueueFigures.STUCK_DELIVERIES);
      this.#oldestHeldSinceMs = Math.min(this.#oldestHeldSinceMs, load.oldestHeldSinceMs);
    }
    const counts = partition.dispatches.counts(queue.queueId);
    if (counts === undefined) return;
    this.delivered += counts.delivered;
    this.rebalances += counts.rebalances;
    this.redeliveredRejected += counts.redeliveredRejected;
    this.redeliveredDetached += counts.redeliveredDetached;
    this.redeliveredFailover += counts.redeliveredFailover;
    this.waitSeconds = merged(this.waitSeconds, counts.waitSeconds);
    this.processingSeconds = merged(this.processingSeconds, counts.processingSeconds);
  }

  #addState(queue: Readonly<QueueState>): void {
    this.depth += queue.depth;
    this.depthBytes += queue.depthBytes;
    this.keys += queue.keyCount;
    this.published += queue.published;
    this.publishedBytes += queue.publishedBytes;
    this.accepted += queue.accepted;
    this.returned += queue.returned;
    this.refused += queue.refused;
    this.expired += queue.expired + queue.droppedExpired;
    this.overwritten += queue.overwritten;
    this.dropped += queue.droppedOverflow;
    this.purged += queue.droppedPurged;
  }

  /** Consumers that acknowledged something of late, each once, whichever of the partitions it was in. */
  get activeConsumers(): number {
    return this.#activeClients.size;
  }

  /** No consumer has them. */
  get ready(): number {
    return Math.max(0, this.depth - this.inflight);
  }

  /** Of the oldest record that is not settled; 0 when there is none. */
  get ageSeconds(): number {
    return this.#oldestAtMs === Number.POSITIVE_INFINITY ? 0 : Math.max(0, this.#nowMs - this.#oldestAtMs) / 1000;
  }

  /** How long a consumer has held what is held the longest; 0 when nothing is held. */
  get oldestHeldSeconds(): number {
    const sinceMs = this.#oldestHeldSinceMs;
    return sinceMs === Number.POSITIVE_INFINITY ? 0 : Math.max(0, this.#monotonicMs - sinceMs) / 1000;
  }

  /** When acknowledgements were last seen to grow, since the Unix epoch; NaN when they were not. */
  get lastAcceptedSeconds(): number {
    if (this.#acceptedMs === 0) return Number.NaN;
    return (this.#nowMs - (this.#monotonicMs - this.#acceptedMs)) / 1000;
  }

  /** Until nothing is left, at the present pace; infinite when it does not shrink, NaN while the pace is unknown. */
  get drainSeconds(): number {
    return drainSeconds(this.depth, this.#publishedPace, this.#gonePace);
  }

  /** Until records that nobody settled expire by the queue's period or are dropped for newer ones; infinite for never. */
  get lossHorizonSeconds(): number {
    const { dataRetentionMs, limits } = this.definition;
    let seconds = Number.POSITIVE_INFINITY;
    if (this.depth > 0 && dataRetentionMs > 0) seconds = Math.max(0, dataRetentionMs / 1000 - this.ageSeconds);
    const growth = this.#growth ?? 0;
    if (limits.overflow === 'drop_oldest' && limits.countMax !== null && growth > 0) {
      seconds = Math.min(seconds, Math.max(0, limits.countMax - this.depth) / growth);
    }
    return seconds;
  }

  /** Its place in the order of how bad it is. */
  get status(): number {
    const { depth, consumers, ageSeconds } = this;
    const status = consumerStatus({
      depth,
      consumers,
      ageSeconds,
      quietSeconds: this.#quietSinceMs === 0 ? 0 : (this.#monotonicMs - this.#quietSinceMs) / 1000,
      jobSeconds: meanOf(this.processingSeconds),
      drainSeconds: this.drainSeconds,
      objectiveSeconds: this.objectiveMs / 1000,
    });
    return CONSUMER_STATUSES.indexOf(status);
  }

  /** Records a second. */
  get #growth(): number | undefined {
    const published = this.#publishedPace;
    const gone = this.#gonePace;
    return published === undefined || gone === undefined ? undefined : published - gone;
  }
}

function sumOf(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined ? undefined : one + other;
}

function merged(one: Histogram | undefined, other: Histogram): Histogram {
  if (one === undefined) return other;
  const both = new Histogram(one.bounds);
  for (let i = 0; i < both.counts.length; i++) both.counts[i] = (one.counts[i] as number) + (other.counts[i] as number);
  both.sum = one.sum + other.sum;
  both.count = one.count + other.count;
  return both;
}

export function meanOf(histogram: Histogram | undefined): number {
  return histogram === undefined || histogram.count === 0 ? 0 : histogram.sum / histogram.count;
}
