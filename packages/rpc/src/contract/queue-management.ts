import type { QueueDefinition, QueueLimits } from '@sluice/meta/queue-definition';
import type { QueueSettings, QueueSubsystemConfig } from '@sluice/meta/queue-subsystem-config';
import type { ConsumerStatus } from '@sluice/queue/dispatch/consumer-status';

/**
 * What an operator may ask of queues, wherever it runs: the REST API is its only caller in a node, and neither side
 * knows of the other's protocol. Definitions come from the coordinator's image, figures and messages from the leaders
 * of the partitions that hold the queue.
 *
 * Values arrive here already checked for type and range. What only the owner can know (the name is taken, the count is
 * reached, no leader answers) comes back as a `Refusal`, never as a rejected promise.
 */
export interface QueueManagement {
  /**
   * All queues of the newest image, in any order. The same array while the image has not changed: callers keep what
   * they derive from it by its identity.
   */
  list(): Promise<Outcome<readonly QueueDefinition[]>>;
  /** By the exact name. Reads the newest image; a create or update that has answered is visible. */
  get(name: string): Promise<Outcome<QueueDefinition>>;
  /** ALREADY_EXISTS, MAX_QUEUE_COUNT_REACHED, NOT_ENABLED, BAD_REQUEST (more partitions than the cluster has). */
  create(spec: QueueSpec): Promise<Outcome<QueueDefinition>>;
  /** What the patch does not name keeps its value, also inside `limits`. The new definition acts on running consumers. */
  update(name: string, patch: QueuePatch): Promise<Outcome<QueueDefinition>>;
  /** Its messages and consumers' progress go with it. Subscriptions stay and wait for a queue of that name. */
  remove(name: string): Promise<Outcome<void>>;

  /** One entry a queue whose leaders answered. A missing entry means unknown, not zero. */
  statistics(names: readonly string[]): Promise<Outcome<ReadonlyMap<string, QueueStatistics>>>;
  /** Settles everything the queue holds, delivered or not. Returns how many messages went. */
  purge(name: string): Promise<Outcome<number>>;
  /** Looks without consuming: no delivery count rises, no consumer loses a message. */
  peek(name: string, request: PeekRequest): Promise<Outcome<PeekPage>>;

  config(): Promise<Outcome<QueueSubsystemConfig>>;
  /** Merged at the top level; nested objects are replaced. BAD_REQUEST when disabled while queues exist. */
  patchConfig(patch: Partial<QueueSubsystemConfig>): Promise<Outcome<QueueSubsystemConfig>>;
}

export type Outcome<T> = { ok: true; value: T } | Refusal;

export interface Refusal {
  ok: false;
  code: RefusalCode;
  message: string;
  /** What the reader should do next; empty when there is nothing to add. */
  hint: string;
}

const REFUSAL_CODES = [
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'MAX_QUEUE_COUNT_REACHED',
  'BAD_REQUEST',
  /** The subsystem is switched off. */
  'NOT_ENABLED',
  /** Starting, or no leader known yet: the same call may succeed in a moment. */
  'NOT_READY',
  /** A leader did not answer in time: a change may or may not have happened. */
  'TIMEOUT',
  /** The storage failed. */
  'UNAVAILABLE',
] as const;
export type RefusalCode = (typeof REFUSAL_CODES)[number];

/** Complete: whoever calls has filled in the defaults. */
export interface QueueSpec extends QueueSettings {
  name: string;
  topicFilter: string;
  isLastValue: boolean;
  /** How many partitions the queue spreads over; which ones is the coordinator's choice. */
  partitionCount: number;
}

export type QueuePatch = Partial<Omit<QueueSettings, 'limits'>> & { limits?: Partial<QueueLimits> };

/** Totals count since the queue was created and survive restarts and changes of leader, unless said otherwise. */
export interface QueueStatistics {
  /** Stored and not settled. */
  depthMessages: number;
  depthBytes: number;
  /** Of the depth: deliverable now. */
  readyMessages: number;
  /** Of the depth: handed to a consumer and not answered yet. */
  inflightMessages: number;
  /** Committed end minus what is settled, in flight included. */
  lagMessages: number;
  /** Age of the oldest message not settled, by its publish time; 0 when there is none. */
  lagSeconds: number;
  /** Publish time of that message; null when there is none. */
  oldestPublishedAtMs: number | null;
  /** How old a message may become before the consumers are too slow: the queue's own, or the configuration's. */
  lagObjectiveSeconds: number;
  consumers: number;
  status: ConsumerStatus;
  /** Messages a second, in the mean of a minute; null while the leaders have not seen enough. */
  publishedPerSecond: number | null;
  /** Those that left in whatever way. */
  settledPerSecond: number | null;
  /** Until nothing is left at that pace; null when it does not shrink, or the pace is unknown. */
  drainSeconds: number | null;
  /** Counted by the current leaders since they lead. */
  deliveredTotal: number;
  redeliveredTotal: number;
  /** Distinct live keys of a last-value queue; 0 otherwise. */
  keys: number;
  publishedTotal: number;
  publishedBytesTotal: number;
  acceptedTotal: number;
  /** Rejected by a consumer or given back by its departure. Counted by the current leader since it leads. */
  returnedTotal: number;
  /** Publishes refused because of a limit. */
  refusedTotal: number;
  expiredTotal: number;
  /** Replaced by a newer value of their key. */
  overwrittenTotal: number;
  /** Given up for newer ones by `drop_oldest`. */
  droppedTotal: number;
  purgedTotal: number;
  /** One row a partition of the queue. */
  partitions: readonly QueuePartitionStatistics[];
}

export interface QueuePartitionStatistics {
  partition: number;
  /** The lowest offset that is not settled; equals the tail when the queue is empty. */
  headOffset: number;
  /** The offset the next message will get. */
  tailOffset: number;
  depthMessages: number;
  depthBytes: number;
  /** The node that leads the partition; null while there is none. */
  leader: string | null;
}

export interface PeekRequest {
  /** 1 to `PEEK_LIMIT_MAX`. */
  limit: number;
  /** Where to begin; null begins at the head. */
  fromOffset: number | null;
  /** Which partition's messages; null takes the queue's first. */
  partition: number | null;
  /** Bytes of each payload that are wanted. */
  payloadBytesMax: number;
}

/** A page must fit comfortably into one frame and one JSON answer. */
export const PEEK_LIMIT_MAX = 100;
export const PEEK_PAYLOAD_BYTES_MAX = 65_536;

export interface PeekPage {
  /** In the order of their offsets. */
  messages: readonly PeekedMessage[];
  /** Where the next page begins; null when the tail was reached. */
  nextOffset: number | null;
}

export interface PeekedMessage {
  partition: number;
  offset: number;
  topic: string;
  /** Client identifier of the publisher. */
  publisher: string;
  qos: 0 | 1 | 2;
  retain: boolean;
  publishedAtMs: number;
  /** null: it does not expire. */
  expiresAtMs: number | null;
  /** Deliveries so far, also those of earlier leaders as far as they were replicated. */
  deliveryCount: number;
  state: 'ready' | 'inflight';
  /** Last-value queues: the message's key. */
  key: string | null;
  properties: PeekedProperties;
  /** At most the requested number of bytes. */
  payload: Uint8Array;
  payloadSizeBytes: number;
  /** True when `payload` is only the beginning. */
  truncated: boolean;
}

/** MQTT 5 properties as published. Absent ones are undefined. */
export interface PeekedProperties {
  contentType?: string | undefined;
  responseTopic?: string | undefined;
  correlationData?: Uint8Array | undefined;
  payloadFormatIndicator?: number | undefined;
  /** Ordered, repeated names kept. */
  userProperties: readonly (readonly [string, string])[];
}

export function refuse(code: RefusalCode, message: string, hint = ''): Refusal {
  return { ok: false, code, message, hint };
}
