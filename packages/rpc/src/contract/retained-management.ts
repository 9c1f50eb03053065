import type { RecordProperties } from '@sluice/queue/record/record';
import type { Outcome } from './queue-management.ts';

/** What operators may ask of the retained messages. */
export interface RetainedManagement {
  /** Those whose topic matches the filter, behind the first `skip`. Their order holds as long as nothing changes. */
  list(filter: string, skip: number, limit: number): Promise<Outcome<RetainedList>>;
  get(topic: string): Promise<Outcome<RetainedMessage>>;
  /** Tells no subscriber. */
  remove(topic: string): Promise<Outcome<null>>;
}

export interface RetainedList {
  messages: readonly RetainedSummary[];
  hasMore: boolean;
}

export interface RetainedSummary {
  topic: string;
  qos: 0 | 1 | 2;
  /** Client id. */
  publisher: string;
  publishedAtMs: number;
  /** null: never. */
  expiresAtMs: number | null;
  payloadSizeBytes: number;
}

export interface RetainedMessage extends RetainedSummary {
  payload: Uint8Array;
  properties: RecordProperties | undefined;
}
