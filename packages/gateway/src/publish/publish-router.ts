import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { Counter, Metrics } from '@sluice/common/metrics';
import type { QueueDefinition } from '@sluice/meta/queue-definition';
import type { Topology } from '@sluice/meta/topology';
import type { PublishPacket } from '@sluice/mqtt/codec/packet';
import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import { RETAINED_QUEUE_ID } from '@sluice/queue/machine/internal-queues';
import type { RecordExchange, RecordInput, RecordProperties, RecordTarget } from '@sluice/queue/record/record';
import { isRecordLarger } from '@sluice/queue/record/record-size';
import type { RecordCompletion, RecordFailure } from '@sluice/store-client/publish/partition-lane';
import type { PartitionProducer } from '@sluice/store-client/publish/partition-producer';
import { partitionOfTopic } from '@sluice/store-client/retained/topic-partition';
import type { StreamRoute, StreamRoutes } from '../session/stream-routes.ts';
import type { DurablePublish, PendingPublish, Publisher } from './durable-publish.ts';
import { partitionForKey, partitionForPublisher } from './partition-choice.ts';
import type { QueueKeys } from './queue-keys.ts';
import { RefusedPublishes } from './refused-publishes.ts';

/**
 * Which queues keep a message, and when its publisher may be told so. What is retained of a topic is kept by a queue, too:
 * one of the broker's own, in the partition of the topic.
 *
 * Queues of one partition share one record, so the payload is written once for all of them; a message for several
 * partitions is acknowledged when the last has committed it, or refused as soon as one refuses. What the publisher is
 * told is never better than the truth: a refusal by one queue stands although others may have kept the message, because
 * an acknowledgement covers all of them [MQTT-4.3.2-4].
 *
 * @hotpath
 */
export class PublishRouter implements DurablePublish {
  readonly #topology: Topology;
  readonly #producer: RecordProducer;
  readonly #keys: QueueKeys;
  readonly #streams: Pick<StreamRoutes, 'match'> | undefined;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #keyFailures: Counter;
  readonly #refused: RefusedPublishes;
  #lastKeyWarningMs = Number.NEGATIVE_INFINITY;

  /** A key that cannot be computed is a mistake in a definition: said, but not once a message. */
  static readonly KEY_WARNING_INTERVAL_MS = 10_000;

  constructor(options: {
    topology: Topology;
    producer: RecordProducer;
    keys: QueueKeys;
    /** What stored sessions subscribe to; undefined: there are none. */
    streams?: Pick<StreamRoutes, 'match'>;
    clock: Clock;
    logger: Logger;
    metrics: Metrics;
  }) {
    this.#topology = options.topology;
    this.#producer = options.producer;
    this.#keys = options.keys;
    this.#streams = options.streams;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#keyFailures = options.metrics.counter(
      'sluice_gateway_key_failures_total',
      'Messages a last-value queue did not keep because their key could not be computed',
    );
    this.#refused = new RefusedPublishes(options);
  }

  get congested(): boolean {
    return this.#producer.congested;
  }

  onRelief(listener: () => void): void {
    this.#producer.onRelief(listener);
  }

  publish(
    packet: PublishPacket,
    publisher: Publisher,
    pending: PendingPublish,
    isRetained: boolean,
    nowMs: number,
    exchange?: RecordExchange,
  ): boolean {
    const queues = this.#topology.queuesFor(packet.topic);
    // QoS 0 is not kept for anybody who is away.
    const streams = packet.qos === 0 || this.#streams === undefined ? NO_STREAMS : this.#streams.match(packet.topic);
    if (isRetained) return this.#publishToMany(queues, streams, packet, publisher, pending, true, nowMs, exchange);
    if (queues.length === 0 && streams.length === 0) return false;
    const only = queues.length === 1 && streams.length === 0 ? (queues[0] as QueueDefinition) : undefined;
    if (only !== undefined && !only.isLastValue) {
      const targets = [{ queueId: only.queueId, key: undefined }];
      const record = recordOf(targets, packet, publisher, nowMs, exchange, packet.ownsBuffer);
      const completion = new Completion(pending, 1, packet.topic, publisher, this.#refused);
      if (wouldEmpty(only, record)) completion.recordFailed('queue-full');
      else this.#producer.add(partitionForPublisher(only, publisher.clientId), record, completion);
      return true;
    }
    return this.#publishToMany(queues, streams, packet, publisher, pending, false, nowMs, exchange);
  }

  #publishToMany(
    queues: readonly QueueDefinition[],
    streams: readonly StreamRoute[],
    packet: PublishPacket,
    publisher: Publisher,
    pending: PendingPublish,
    isRetained: boolean,
    nowMs: number,
    exchange: RecordExchange | undefined,
  ): boolean {
    const byPartition = new Map<number, RecordTarget[]>();
    for (const queue of queues) {
      let key: Uint8Array | undefined;
      if (queue.isLastValue) {
        const outcome = this.#keys.keyFor(queue, packet, publisher, nowMs);
        if (!outcome.ok) {
          this.#keyFailed(queue, outcome.reason);
          continue;
        }
        key = outcome.key;
      }
      const partition =
        key === undefined ? partitionForPublisher(queue, publisher.clientId) : partitionForKey(queue, key);
      addTarget(byPartition, partition, { queueId: queue.queueId, key });
    }
    if (isRetained) {
      const key = Buffer.from(packet.topic);
      addTarget(byPartition, partitionOfTopic(key, this.#topology.partitionCount), { queueId: RETAINED_QUEUE_ID, key });
    }
    for (const { partition, streamId } of streams) {
      addTarget(byPartition, partition, { queueId: streamId, key: undefined });
    }
    if (byPartition.size === 0) return false;
    const completion = new Completion(pending, byPartition.size, packet.topic, publisher, this.#refused);
    const ownsBuffer = byPartition.size === 1 ? packet.ownsBuffer : undefined;
    for (const [partition, targets] of byPartition) {
      const record = recordOf(targets, packet, publisher, nowMs, exchange, ownsBuffer);
      if (leaveOut(queues, record)) completion.recordFailed('queue-full');
      if (record.targets.length === 0) continue;
      this.#producer.add(partition, record, completion);
    }
    return true;
  }

  #keyFailed(queue: QueueDefinition, reason: string): void {
    this.#keyFailures.add();
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#lastKeyWarningMs < PublishRouter.KEY_WARNING_INTERVAL_MS) return;
    this.#lastKeyWarningMs = nowMs;
    this.#logger.warn(
      { queue: queue.name, keyExpression: queue.keyExpression, reason },
      'a message has no key: this last-value queue does not keep it',
    );
  }
}

/** Brings records into partitions. */
export type RecordProducer = Pick<PartitionProducer, 'add' | 'congested' | 'onRelief'>;

const NO_STREAMS: readonly StreamRoute[] = [];

function recordOf(
  targets: readonly RecordTarget[],
  packet: PublishPacket,
  publisher: Publisher,
  nowMs: number,
  exchange: RecordExchange | undefined,
  /** Only where the message is for one partition: two cannot both have its buffer. */
  ownsBuffer: true | undefined,
): RecordInput {
  const expiryS = packet.properties?.messageExpiryIntervalS;
  return {
    targets,
    topic: packet.topic,
    payload: packet.payload,
    ownsBuffer,
    qos: packet.qos,
    retain: packet.retain,
    publisher: publisher.clientId,
    publishedAtMs: nowMs,
    expiresAtMs: expiryS === undefined ? 0 : nowMs + expiryS * 1000,
    properties: travelling(packet),
    exchange,
  };
}

/**
 * Larger than all that a queue may hold, which drops its oldest to make room: it would drop everything, and the message as
 * well, which was acknowledged. Where the queue refuses instead it does so itself.
 */
function wouldEmpty({ limits }: QueueDefinition, record: RecordInput): boolean {
  const { bytesMax, overflow } = limits;
  return bytesMax !== null && overflow === 'drop_oldest' && isRecordLarger(record, bytesMax);
}

/** Takes those queues off the record that it would empty; false when there is none. */
function leaveOut(queues: readonly QueueDefinition[], record: RecordInput): boolean {
  const before = record.targets.length;
  for (const queue of queues) if (wouldEmpty(queue, record)) record.targets = without(record.targets, queue.queueId);
  return record.targets.length < before;
}

function without(targets: readonly RecordTarget[], queueId: number): readonly RecordTarget[] {
  return targets.filter((target) => target.queueId !== queueId);
}

function addTarget(byPartition: Map<number, RecordTarget[]>, partition: number, target: RecordTarget): void {
  const targets = byPartition.get(partition);
  if (targets === undefined) byPartition.set(partition, [target]);
  else targets.push(target);
}

/** Counts down the partitions of one message; the first refusal decides. */
class Completion implements RecordCompletion {
  readonly #pending: PendingPublish;
  readonly #topic: string;
  readonly #publisher: Publisher;
  readonly #refused: RefusedPublishes;
  #left: number;

  constructor(
    pending: PendingPublish,
    partitions: number,
    topic: string,
    publisher: Publisher,
    refused: RefusedPublishes,
  ) {
    this.#pending = pending;
    this.#left = partitions;
    this.#topic = topic;
    this.#publisher = publisher;
    this.#refused = refused;
  }

  recordStored(): void {
    if (--this.#left === 0) this.#pending.complete(ReasonCode.SUCCESS);
  }

  recordFailed(failure: RecordFailure): void {
    // Several queues of a partition may each refuse: one answer all the same.
    if (this.#left <= 0) return;
    this.#left = 0;
    this.#refused.add(this.#topic, this.#publisher, failure);
    this.#pending.complete(REASON_BY_FAILURE[failure]);
  }
}

/** Only what PUBACK and PUBREC may carry: "server busy" is none of it, and strict clients fail on it. */
const REASON_BY_FAILURE: Readonly<Record<RecordFailure, number>> = {
  'queue-full': ReasonCode.QUOTA_EXCEEDED,
  'storage-full': ReasonCode.QUOTA_EXCEEDED,
  // Defined a moment ago, or removed a moment ago: the topology of this gateway is behind, a retry finds the truth.
  'queue-unknown': ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR,
  'queue-removed': ReasonCode.IMPLEMENTATION_SPECIFIC_ERROR,
  unavailable: ReasonCode.UNSPECIFIED_ERROR,
};

/** What belongs to the message and not to this hop of it [MQTT-3.3.2-4 … 3.3.2-20]. */
function travelling(packet: PublishPacket): RecordProperties | undefined {
  const { properties } = packet;
  if (properties === undefined) return undefined;
  const record: RecordProperties = {};
  if (properties.payloadFormatIndicator !== undefined)
    record.payloadFormatIndicator = properties.payloadFormatIndicator;
  if (properties.contentType !== undefined) record.contentType = properties.contentType;
  if (properties.responseTopic !== undefined) record.responseTopic = properties.responseTopic;
  if (properties.correlationData !== undefined) record.correlationData = properties.correlationData;
  if (properties.userProperties !== undefined) record.userProperties = properties.userProperties;
  return record;
}
