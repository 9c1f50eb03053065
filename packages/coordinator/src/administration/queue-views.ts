import { consumerStatus, drainSeconds } from '@sluice/queue/dispatch/consumer-status';
import type { PeekedMessage, QueueStatistics } from '@sluice/rpc/contract/queue-management';
import type { PeekedRecord, StoreQueueStatistics } from '@sluice/rpc/contract/store-admin';
import type { PartitionFigures } from './store-questions.ts';

/** A queue's figures over all its partitions, one row each beside the sums. */
export function statisticsOf(
  partitions: readonly PartitionFigures[],
  nowMs: number,
  objectiveMs: number,
  nameOf: (nodeId: number) => string,
): QueueStatistics {
  const sum = (of: (figures: StoreQueueStatistics) => number): number =>
    partitions.reduce((total, figures) => total + of(figures), 0);
  let oldestMs = 0;
  let consumers = 0;
  for (const { oldestAppendedAtMs, consumers: attached } of partitions) {
    if (oldestAppendedAtMs > 0 && (oldestMs === 0 || oldestAppendedAtMs < oldestMs)) oldestMs = oldestAppendedAtMs;
    // A consumer is attached to several of the partitions: adding up would count it several times.
    consumers = Math.max(consumers, attached);
  }
  const depth = sum((figures) => figures.depth);
  const inflight = sum((figures) => figures.inflight);
  const ageSeconds = oldestMs > 0 ? Math.max(0, nowMs - oldestMs) / 1000 : 0;
  const published = knownSum(partitions, ({ publishedPace }) => publishedPace);
  const gone = knownSum(partitions, ({ gonePace }) => gonePace);
  const toDrain = drainSeconds(depth, published, gone);
  return {
    depthMessages: depth,
    depthBytes: sum((figures) => figures.depthBytes),
    readyMessages: Math.max(0, depth - inflight),
    inflightMessages: inflight,
    lagMessages: depth,
    lagSeconds: ageSeconds,
    oldestPublishedAtMs: oldestMs > 0 ? oldestMs : null,
    lagObjectiveSeconds: objectiveMs / 1000,
    consumers,
    status: consumerStatus({
      depth,
      consumers,
      ageSeconds,
      quietSeconds: Math.min(...partitions.map(({ quietMs }) => quietMs)) / 1000,
      jobSeconds: Math.max(...partitions.map(({ jobMs }) => jobMs)) / 1000,
      drainSeconds: toDrain,
      objectiveSeconds: objectiveMs / 1000,
    }),
    publishedPerSecond: published ?? null,
    settledPerSecond: gone ?? null,
    drainSeconds: Number.isFinite(toDrain) ? toDrain : null,
    deliveredTotal: sum((figures) => figures.deliveredTotal),
    redeliveredTotal: sum((figures) => figures.redeliveredTotal),
    keys: sum((figures) => figures.keys),
    publishedTotal: sum((figures) => figures.publishedTotal),
    publishedBytesTotal: sum((figures) => figures.publishedBytesTotal),
    acceptedTotal: sum((figures) => figures.acceptedTotal),
    returnedTotal: sum((figures) => figures.returnedTotal),
    refusedTotal: sum((figures) => figures.refusedTotal),
    expiredTotal: sum((figures) => figures.expiredTotal),
    overwrittenTotal: sum((figures) => figures.overwrittenTotal),
    droppedTotal: sum((figures) => figures.droppedTotal),
    purgedTotal: sum((figures) => figures.purgedTotal),
    partitions: [...partitions]
      .sort((a, b) => a.partition - b.partition)
      .map((figures) => ({
        partition: figures.partition,
        headOffset: figures.head,
        tailOffset: figures.tail,
        depthMessages: figures.depth,
        depthBytes: figures.depthBytes,
        leader: nameOf(figures.nodeId),
      })),
  };
}

/** Undefined as long as it is unknown of any. */
function knownSum(
  partitions: readonly PartitionFigures[],
  of: (figures: StoreQueueStatistics) => number | undefined,
): number | undefined {
  let total = 0;
  for (const figures of partitions) {
    const amount = of(figures);
    if (amount === undefined) return undefined;
    total += amount;
  }
  return total;
}

export function peekedMessageOf(record: PeekedRecord, partition: number): PeekedMessage {
  const { properties } = record;
  const userProperties: [string, string][] = [];
  const flat = properties?.userProperties ?? [];
  for (let i = 0; i + 1 < flat.length; i += 2) userProperties.push([flat[i] as string, flat[i + 1] as string]);
  return {
    partition,
    offset: record.offset,
    topic: record.topic,
    publisher: record.publisher,
    qos: record.qos,
    retain: record.retain,
    publishedAtMs: record.publishedAtMs,
    expiresAtMs: record.expiresAtMs === 0 ? null : record.expiresAtMs,
    deliveryCount: record.deliveryCount,
    state: record.inflight ? 'inflight' : 'ready',
    key: record.key === undefined ? null : Buffer.from(record.key).toString('utf8'),
    properties: {
      contentType: properties?.contentType,
      responseTopic: properties?.responseTopic,
      correlationData: properties?.correlationData,
      payloadFormatIndicator: properties?.payloadFormatIndicator,
      userProperties,
    },
    payload: record.payload,
    payloadSizeBytes: record.payloadSizeBytes,
    truncated: record.payload.length < record.payloadSizeBytes,
  };
}
