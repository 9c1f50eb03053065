import type { OverflowPolicy, QueueDefinition, QueueLimits } from './queue-definition.ts';

/**
 * What holds for queues as a whole, kept by the coordinator beside the queue definitions and changed at run time
 * through `PUT /api/v5/message_queues/config`. The names follow EMQX, whose clients read and write this object.
 *
 * `gcInterval`, `regularQueueRetention` and `findQueueRetry` steer mechanisms that EMQX needs and Sluice does
 * not: retention is per queue and exact, space is freed when a segment dies, a waiting subscription is told of its
 * queue at once. They are accepted, kept and returned so that scripts written for EMQX go on working.
 */
export interface QueueSubsystemConfig {
  /** `false` is possible only while no queue exists. `auto` is the same as `true`: queues may always be created. */
  enable: boolean | 'auto';
  gcInterval: DurationSetting;
  regularQueueRetention: DurationSetting;
  queueCountMax: number;
  findQueueRetry: DurationSetting;
  autoCreate: AutoCreate;
}

/** A duration, with the text it was given in: the endpoint answers "60m" to who wrote "60m". */
export interface DurationSetting {
  ms: number;
  given: string | number;
}

/** At most one of the two is a template: a subscription with a filter then creates the queue it does not find. */
export interface AutoCreate {
  regular: QueueTemplate | false;
  lastValue: QueueTemplate | false;
}

/** The settings of a queue to be, without its identity. What is absent takes `QUEUE_SETTING_DEFAULTS`. */
export type QueueTemplate = Partial<QueueSettings>;

/** Everything of a queue that may change during its life. */
export interface QueueSettings
  extends Pick<
    QueueDefinition,
    | 'dispatchStrategy'
    | 'dataRetentionMs'
    | 'limits'
    | 'localMaxInflight'
    | 'redispatchIntervalMs'
    | 'consumerMaxInactiveMs'
    | 'pingIntervalMs'
    | 'busySessionRetryIntervalMs'
    | 'streamMaxBufferSize'
    | 'streamMaxUnacked'
    | 'consumerPersistenceIntervalMs'
    | 'lagObjectiveMs'
  > {
  /** Last-value queues only; null on a regular queue. */
  keyExpression: string | null;
}

const SECOND_MS = 1_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** One value per client: the newest message of each publisher is what a last-value queue keeps unless told otherwise. */
export const DEFAULT_KEY_EXPRESSION = 'message.from';

/** Refusing is the default: a publisher that is told can slow down, a message dropped unseen is lost work. */
export const DEFAULT_OVERFLOW: OverflowPolicy = 'refuse';

export const NO_LIMITS: QueueLimits = { countMax: null, bytesMax: null, overflow: DEFAULT_OVERFLOW };

/**
 * The values EMQX documents, so that a body written for it means the same here. `lagObjectiveMs` stays absent: a queue
 * without one of its own follows the configuration when that changes.
 */
export const QUEUE_SETTING_DEFAULTS: Omit<QueueSettings, 'keyExpression'> = {
  dispatchStrategy: 'random',
  dataRetentionMs: 7 * DAY_MS,
  limits: NO_LIMITS,
  localMaxInflight: 10,
  redispatchIntervalMs: 100,
  consumerMaxInactiveMs: 30 * SECOND_MS,
  pingIntervalMs: 10 * SECOND_MS,
  busySessionRetryIntervalMs: 100,
  streamMaxBufferSize: 2_000,
  streamMaxUnacked: 1_000,
  consumerPersistenceIntervalMs: 10 * SECOND_MS,
};

/**
 * Two values differ from EMQX. `queueCountMax` is 200 000 (there 100): a queue is a tenant of a partition and costs a
 * few hundred bytes, so the bound only stops a runaway script. Automatic creation is off (there: last-value): a worker
 * that subscribes a moment before its queue is created as a regular one would otherwise fix it as a last-value queue.
 */
export const DEFAULT_QUEUE_SUBSYSTEM_CONFIG: QueueSubsystemConfig = {
  enable: 'auto',
  gcInterval: { ms: HOUR_MS, given: '1h' },
  regularQueueRetention: { ms: 7 * DAY_MS, given: '7d' },
  queueCountMax: 200_000,
  findQueueRetry: { ms: 10 * SECOND_MS, given: '10s' },
  autoCreate: { regular: false, lastValue: false },
};
