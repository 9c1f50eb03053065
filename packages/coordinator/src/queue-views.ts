import type { PeekedMessage, QueueStatistics } from '@sluice/rpc/contract/queue-management';
import type { PeekedRecord, StoreQueueStatistics } from '@sluice/rpc/contract/store-admin';
import type { PartitionFigures } from './store-questions.ts';

/** A queue's figures over all its partitions, one row each beside the sums. */
export function statisticsOf(
  partitions: readonly PartitionFigures[],
  nowMs: number,
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
  return {
    depthMessages: depth,
    depthBytes: sum((figures) => figures.depthBytes),
    readyMessages: Math.max(0, depth - inflight),
    inflightMessages: inflight,
    lagMessages: depth,
    lagSeconds: oldestMs > 0 ? Math.max(0, nowMs - oldestMs) / 1000 : 0,
    oldestPublishedAtMs: oldestMs > 0 ? oldestMs : null,
    consumers,
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
