import type { QueueDefinition } from '@sluice/meta/queue-definition';

/** A queue of one partition that keeps everything and disturbs nobody: tests say what they want otherwise. */
export const PLAIN_QUEUE: QueueDefinition = {
  queueId: 1,
  name: 'q',
  topicFilter: 't',
  isLastValue: false,
  keyExpression: null,
  dispatchStrategy: 'random',
  dataRetentionMs: 1000,
  limits: { countMax: null, bytesMax: null, overflow: 'refuse' },
  localMaxInflight: 10,
  redispatchIntervalMs: 100,
  consumerMaxInactiveMs: 0,
  pingIntervalMs: 0,
  busySessionRetryIntervalMs: 0,
  streamMaxBufferSize: 0,
  streamMaxUnacked: 0,
  consumerPersistenceIntervalMs: 0,
  partitions: [1],
  version: 1,
  createdAtMs: 0,
};
