/**
 * Publishing, gateway to store. Batches are numbered per channel and answered once each, in any order; many are in
 * flight without waiting. Losing the channel leaves the outcome of unanswered batches unknown: their publishers are
 * told nothing, and repeat.
 */
export interface AppendRequest {
  sequence: number;
  partition: number;
  /** An encoded record batch; the leader writes its time stamp into it, nobody else touches it again. */
  batch: Uint8Array;
}

export interface AppendResponse {
  sequence: number;
  status: AppendStatus;
  /** Records that were not stored for one of their queues although the batch was committed. Mostly empty. */
  refused: readonly RefusedRecord[];
}

/** `committed`: a majority has fsynced it and the queues have it. Everything else stored nothing. */
export type AppendStatus = 'committed' | 'not-leader' | 'storage-full' | 'busy' | 'unavailable';

export interface RefusedRecord {
  /** Position of the record in its batch. */
  slot: number;
  queueId: number;
  code: 'queue-full' | 'queue-unknown' | 'queue-removed';
}
