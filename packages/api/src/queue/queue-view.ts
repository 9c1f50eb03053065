import type { QueueDefinition } from '@sluice/meta/queue-definition';
import { DEFAULT, INFINITY } from '../field/scalar-fields.ts';

/** A queue as every answer shows it: durations in milliseconds, sizes in bytes. */
export function queueView(queue: QueueDefinition): Record<string, unknown> {
  const count = queue.limits.countMax ?? INFINITY;
  const bytes = queue.limits.bytesMax ?? INFINITY;
  return {
    name: queue.name,
    topic_filter: queue.topicFilter,
    is_lastvalue: queue.isLastValue,
    ...(queue.isLastValue ? { key_expression: queue.keyExpression } : {}),
    data_retention_period: queue.dataRetentionMs,
    dispatch_strategy: queue.dispatchStrategy,
    limits: {
      max_shard_message_count: count,
      max_shard_message_bytes: bytes,
      max_message_count: count,
      max_message_bytes: bytes,
      overflow: queue.limits.overflow,
    },
    local_max_inflight: queue.localMaxInflight,
    redispatch_interval: queue.redispatchIntervalMs,
    lag_objective: queue.lagObjectiveMs ?? DEFAULT,
    consumer_max_inactive: queue.consumerMaxInactiveMs,
    ping_interval: queue.pingIntervalMs,
    busy_session_retry_interval: queue.busySessionRetryIntervalMs,
    stream_max_buffer_size: queue.streamMaxBufferSize,
    stream_max_unacked: queue.streamMaxUnacked,
    consumer_persistence_interval: queue.consumerPersistenceIntervalMs,
    partitions: queue.partitions.length,
    created_at: new Date(queue.createdAtMs).toISOString(),
  };
}

const milliseconds = (description: string) => ({
  type: 'integer',
  minimum: 0,
  description: `${description} Milliseconds.`,
});
const limit = (description: string) => ({
  oneOf: [
    { type: 'integer', minimum: 1 },
    { type: 'string', enum: [INFINITY] },
  ],
  description,
});
const COMPATIBILITY = 'Kept for compatibility with EMQX; has no effect.';

export const QUEUE_SCHEMA = {
  $id: 'Queue',
  title: 'A queue',
  type: 'object',
  additionalProperties: false,
  required: [
    'name',
    'topic_filter',
    'is_lastvalue',
    'data_retention_period',
    'dispatch_strategy',
    'limits',
    'partitions',
    'created_at',
  ],
  properties: {
    name: {
      type: 'string',
      description: 'Its name; `/<topic_filter>` when it was created without one.',
      example: 'orders',
    },
    topic_filter: {
      type: 'string',
      description: 'What is published to matching topics enters the queue.',
      example: 'orders/#',
    },
    is_lastvalue: { type: 'boolean', description: 'Whether only the newest message of each key is kept.' },
    key_expression: {
      type: 'string',
      description: 'Last-value queues only: computes the key of a message.',
      example: 'message.from',
    },
    data_retention_period: { ...milliseconds('Age at which a message leaves undelivered.'), example: 604_800_000 },
    dispatch_strategy: {
      type: 'string',
      enum: ['random', 'round_robin', 'least_inflight'],
      description: 'Which consumer gets the next message.',
    },
    limits: {
      type: 'object',
      description: 'Per partition of the queue.',
      required: [
        'max_shard_message_count',
        'max_shard_message_bytes',
        'max_message_count',
        'max_message_bytes',
        'overflow',
      ],
      additionalProperties: false,
      properties: {
        max_shard_message_count: limit('Most messages, under EMQX’s name.'),
        max_shard_message_bytes: limit('Most bytes, under EMQX’s name.'),
        max_message_count: limit('Most messages.'),
        max_message_bytes: limit('Most bytes.'),
        overflow: { type: 'string', enum: ['refuse', 'drop_oldest'], description: 'What happens beyond a limit.' },
      },
    },
    local_max_inflight: { type: 'integer', minimum: 1, description: 'Most unacknowledged messages per consumer.' },
    redispatch_interval: milliseconds('Wait of a rejected message that nobody else can take.'),
    lag_objective: {
      oneOf: [
        { type: 'integer', minimum: 1 },
        { type: 'string', enum: [DEFAULT] },
      ],
      description:
        'How old a message may become before the consumers are too slow. Milliseconds, or `default`: as the configuration says.',
    },
    consumer_max_inactive: milliseconds(COMPATIBILITY),
    ping_interval: milliseconds(COMPATIBILITY),
    busy_session_retry_interval: milliseconds(COMPATIBILITY),
    stream_max_buffer_size: { type: 'integer', description: COMPATIBILITY },
    stream_max_unacked: { type: 'integer', description: COMPATIBILITY },
    consumer_persistence_interval: milliseconds(COMPATIBILITY),
    partitions: { type: 'integer', minimum: 1, description: 'How many partitions hold it.' },
    created_at: { type: 'string', format: 'date-time', description: 'When it was created.' },
  },
};

export const PAGE_META_SCHEMA = {
  type: 'object',
  required: ['hasnext'],
  additionalProperties: false,
  properties: {
    hasnext: { type: 'boolean', description: 'Whether another page follows.' },
    cursor: { type: 'string', description: 'Opaque; give it back to get the next page. Only when one follows.' },
  },
};

export const QUEUE_PAGE_SCHEMA = {
  $id: 'QueuePage',
  title: 'A page of queues',
  type: 'object',
  required: ['data', 'meta'],
  additionalProperties: false,
  properties: { data: { type: 'array', items: { $ref: 'Queue#' } }, meta: PAGE_META_SCHEMA },
};
