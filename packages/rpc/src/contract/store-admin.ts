import type { RecordProperties } from '@sluice/queue/record/record';

/**
 * Rare questions about queues, asked of the store that leads their partition. It answers only after a majority has
 * confirmed that it still leads: a deposed leader would tell figures of the past as those of now.
 */
export type StoreAdminRequest =
  /** Answered for those of the queues' partitions that are led here. */
  | { type: 'statistics'; queueIds: readonly number[] }
  /** `partition` 0: the first of the queue's partitions, which is the only one of most queues. */
  | { type: 'purge'; queueId: number; partition: number }
  | {
      type: 'peek';
      queueId: number;
      partition: number;
      fromOffset: number;
      limit: number;
      payloadBytesMax: number;
    }
  /** Ends what is retained of a topic, as an empty retained message would, and tells no subscriber. */
  | { type: 'erase-retained'; partition: number; topic: string }
  /** Who belongs to the partition's group. Asked by a store before it gives a replica up. */
  | { type: 'membership'; partition: number }
  /** Whether the store would take the leadership: it has the partition, and space on its disk, and is not about to stop. */
  | { type: 'would-lead'; partition: number };

export type StoreAdminResponse =
  /** One element for each partition of a queue that is led here; `elsewhere` names who leads the others, 0: not known. */
  | {
      type: 'statistics';
      queues: readonly StoreQueueStatistics[];
      elsewhere: readonly { partition: number; leader: number }[];
    }
  | { type: 'purged'; count: number }
  /** `nextOffset` is 0 when the tail was reached. */
  | { type: 'peeked'; records: readonly PeekedRecord[]; nextOffset: number }
  /** Committed as of `index`. Both halves of a joint membership are members. */
  | { type: 'membership'; term: number; index: number; members: readonly number[] }
  | { type: 'would-lead'; would: boolean }
  /** `leader` is who leads the partition as far as this store knows; 0 when it does not. */
  | { type: 'refused'; code: 'queue-unknown' | 'not-leader' | 'unavailable'; message: string; leader: number };

export interface StoreQueueStatistics {
  queueId: number;
  partition: number;
  depth: number;
  depthBytes: number;
  inflight: number;
  consumers: number;
  keys: number;
  head: number;
  tail: number;
  /** When the oldest unsettled record was appended; 0 when there is none. */
  oldestAppendedAtMs: number;
  publishedTotal: number;
  publishedBytesTotal: number;
  acceptedTotal: number;
  returnedTotal: number;
  refusedTotal: number;
  expiredTotal: number;
  overwrittenTotal: number;
  /** Given up to stay within limits. */
  droppedTotal: number;
  purgedTotal: number;
  redeliveredTotal: number;
  deliveredTotal: number;
  /** Records a second, in the mean of a minute; undefined while this leader has not seen enough. */
  publishedPace?: number | undefined;
  /** Settled in whatever way. */
  gonePace?: number | undefined;
  /** Since an acknowledgement was last seen, or since this leader looks. */
  quietMs: number;
  /** From delivery to acknowledgement, in the mean; 0: unknown. */
  jobMs: number;
}

export interface PeekedRecord {
  offset: number;
  topic: string;
  publisher: string;
  publishedAtMs: number;
  expiresAtMs: number;
  deliveryCount: number;
  inflight: boolean;
  key: Uint8Array | undefined;
  qos: 0 | 1 | 2;
  retain: boolean;
  properties: RecordProperties | undefined;
  /** At most `payloadBytesMax` bytes. */
  payload: Uint8Array;
  payloadSizeBytes: number;
}
