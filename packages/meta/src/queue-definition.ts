/** How the records of a queue are handed to its consumers. */
export const DISPATCH_STRATEGIES = ['random', 'round_robin', 'least_inflight'] as const;
export type DispatchStrategy = (typeof DISPATCH_STRATEGIES)[number];

/** What happens to a publish that would exceed a limit: refused (0x97), or the oldest unsettled messages make room. */
export const OVERFLOW_POLICIES = ['refuse', 'drop_oldest'] as const;
export type OverflowPolicy = (typeof OVERFLOW_POLICIES)[number];

/** A queue as its users define it. Durations in milliseconds, sizes in bytes; null means no limit. */
export interface QueueDefinition {
  /** Never reused, so rows of a deleted queue cannot be taken for a new one's. Positive safe integer. */
  queueId: number;
  /** `^[0-9a-zA-Z][-.0-9a-zA-Z_]*$`, or `/<topicFilter>` for a queue created without a name. */
  name: string;
  topicFilter: string;
  isLastValue: boolean;
  /** Last-value queues only. */
  keyExpression: string | null;
  dispatchStrategy: DispatchStrategy;
  dataRetentionMs: number;
  limits: QueueLimits;
  localMaxInflight: number;
  redispatchIntervalMs: number;
  /** Accepted and returned for compatibility; Sluice has no use for them and says so in its reference. */
  consumerMaxInactiveMs: number;
  pingIntervalMs: number;
  busySessionRetryIntervalMs: number;
  streamMaxBufferSize: number;
  streamMaxUnacked: number;
  consumerPersistenceIntervalMs: number;
  /**
   * How old a message may become before the consumers are too slow. Absent, as in every queue that was defined before it
   * could be said, and null mean the same: as old as the broker's configuration says.
   */
  lagObjectiveMs?: number | null;
  /** Partitions that hold the queue; one for strict order. */
  partitions: readonly number[];
  /** Grows with every change, so that late news is recognised. */
  version: number;
  createdAtMs: number;
}

export interface QueueLimits {
  countMax: number | null;
  bytesMax: number | null;
  overflow: OverflowPolicy;
}
