/**
 * Publishing, gateway to store. Batches are numbered per channel and answered once each, in any order; many are in
 * flight without waiting.
 *
 * Order survives a change of leader by one rule: after a store refused a batch of a partition on a channel, it refuses
 * every later one of that partition on that channel until one comes with `resumes`. So nothing that was sent behind a
 * refused batch can get into the log before it.
 *
 * Losing the channel leaves the outcome of unanswered batches unknown; the gateway sends them again to whoever leads,
 * in their order: at least once.
 */
export interface AppendRequest {
  sequence: number;
  partition: number;
  /** The first batch of a partition on a channel, or after a refusal there. */
  resumes: boolean;
  /** An encoded record batch; the leader writes its time stamp into it, nobody else touches it again. */
  batch: Uint8Array;
}

export type AppendResponse =
  | {
      type: 'answer';
      sequence: number;
      status: AppendStatus;
      /** Records that were not stored for one of their queues although the batch was committed. Mostly empty. */
      refused: readonly RefusedRecord[];
      /** With `not-leader`: who leads as far as this store knows; 0 when it does not. */
      leader: number;
    }
  /** Unasked, to every open channel: this store leads the partition from now on. */
  | { type: 'leading'; partition: number; term: number };

/**
 * `committed`: a majority has fsynced it and the queues have it. `unknown`: the store stopped leading while it was under
 * way, so it may be stored or not. Everything else stored nothing.
 */
export type AppendStatus = 'committed' | 'unknown' | 'not-leader' | 'storage-full' | 'busy' | 'unavailable';

export interface RefusedRecord {
  /** Position of the record in its batch. */
  slot: number;
  queueId: number;
  code: 'queue-full' | 'queue-unknown' | 'queue-removed';
}
