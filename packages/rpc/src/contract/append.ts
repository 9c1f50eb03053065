/**
 * Publishing, gateway to store. Batches are numbered per channel and answered once each, in any order; many are in
 * flight without waiting.
 *
 * Losing the channel, or the leader, leaves the outcome of unanswered batches unknown; the gateway sends them again to
 * whoever leads. That neither stores one twice nor lets a later one pass, because each batch carries its origin
 * (`queue/record/batch-origin`): whose it is, its number there, and the one that has to be in the log before it. The
 * replicated machine decides by that; what else a store does before it proposes a batch only spares the log. A batch
 * that says nothing of its origin is stored each time it comes.
 */
export interface AppendRequest {
  sequence: number;
  partition: number;
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
 * `committed`: a majority has fsynced it and the queues have it, whichever of its copies that was. `unknown`: the store
 * stopped leading while it was under way, so it may be stored or not. `out-of-order`: the batch that it has to come
 * after is not in the log. With these and all others nothing came of this copy; one that was sent before may still be
 * stored, in its place, until a later batch is.
 */
export type AppendStatus =
  | 'committed'
  | 'unknown'
  | 'not-leader'
  | 'out-of-order'
  | 'storage-full'
  | 'busy'
  | 'unavailable';

export interface RefusedRecord {
  /** Position of the record in its batch. */
  slot: number;
  queueId: number;
  code: 'queue-full' | 'queue-unknown' | 'queue-removed';
}
