import type { RecordProperties } from './record.ts';

/** Lazy reads over the bytes of one record; nothing is copied or decoded before it is asked for. */
export interface RecordView {
  readonly topic: string;
  /** A view into the batch. */
  readonly payload: Uint8Array;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly publisher: string;
  readonly publishedAtMs: number;
  /** 0 for never. */
  readonly expiresAtMs: number;
  readonly properties: RecordProperties | undefined;
  /** Of the whole encoded record. */
  readonly sizeBytes: number;
}
