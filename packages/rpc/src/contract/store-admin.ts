import type { RecordProperties } from '@sluice/queue/record/record';

/** Rare questions about queues, asked of the store that leads their partition. */
export type StoreAdminRequest =
  | { type: 'statistics'; queueIds: readonly number[] }
  | { type: 'purge'; queueId: number }
  | { type: 'peek'; queueId: number; fromOffset: number; limit: number; payloadBytesMax: number };

export type StoreAdminResponse =
  | { type: 'statistics'; queues: readonly StoreQueueStatistics[] }
  | { type: 'purged'; count: number }
  /** `nextOffset` is 0 when the tail was reached. */
  | { type: 'peeked'; records: readonly PeekedRecord[]; nextOffset: number }
  | { type: 'refused'; code: 'queue-unknown' | 'not-leader' | 'unavailable'; message: string };

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
