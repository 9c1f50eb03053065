/**
 * Consuming, gateway to store. The window is the consumer's credit: no more than that is ever outstanding, so a slow
 * worker holds at most its window. Consumer ids are the gateway's, unique on the channel. When the channel closes,
 * everything its consumers held is available to others at once.
 *
 * Who holds a record is not replicated: its gateway knows. A store that begins to lead says so (`leading`) on every
 * channel, and each gateway attaches what it has in that partition, says what of it its clients still hold (`held`), what
 * they accepted and no leader has confirmed (`settle-late`), and that this was all (`resumed`). Until then, or for
 * the time the store gives, no record from before the leadership is handed out. So a change of leader repeats no job.
 */
export type ConsumeRequest =
  | {
      type: 'attach';
      consumerId: number;
      partition: number;
      queueId: number;
      window: number;
      clientId: string;
      /** Of the assignment this attach follows; an older one than the store has seen for the queue is dismissed. 0: none. */
      generation: number;
      /** What its client holds of an earlier consumer. What the store does not take of it is answered by `lost`. */
      held: readonly HeldItem[];
      /**
       * The largest record that its client may take: what is larger goes to others, or waits for them. A bound: of one that is
       * handed over the gateway may still say that it is too large. Absent or 0: of any size. Feature level 4.
       */
      recordBytesMax?: number;
    }
  | { type: 'window'; consumerId: number; window: number }
  | { type: 'detach'; consumerId: number }
  /** Everything one turn settled in one partition, of all consumers of this channel. */
  | ({ type: 'settle'; items: readonly SettleItem[] } & SettleMark)
  /**
   * Accepted, by clients whose consumer this leader does not know, or under an earlier leader that did not confirm it.
   * A record that still lives is settled, whoever holds it now: somebody has finished it.
   */
  | ({ type: 'settle-late'; items: readonly LateItem[] } & SettleMark)
  /** All that this gateway has in the partition was attached, and all it has accepted there was sent. */
  | { type: 'resumed'; partition: number; term: number }
  /** As with `attach`, for what is handed out from now on. */
  | { type: 'limit'; consumerId: number; recordBytesMax: number }
  /** Its client does not take this one, and was sent nothing of it: it is for a consumer with a larger limit. */
  | { type: 'too-large'; consumerId: number; offset: number };

/** Where settlements of a partition stand in their gateway's count. */
export interface SettleMark {
  partition: number;
  /** Of the leadership as heard by `leading`, after which all unconfirmed ones were sent; 0: not yet, and not confirmed. */
  term: number;
  /** The number of the last accepted one so far. */
  upTo: number;
}

export interface HeldItem {
  offset: number;
  rowBase: number;
  /** As it was delivered. */
  deliveryCount: number;
  sizeBytes: number;
}

export interface SettleItem {
  consumerId: number;
  offset: number;
  /** False returns it: available to others at once, its delivery count raised. */
  accepted: boolean;
}

export interface LateItem {
  queueId: number;
  rowBase: number;
  offset: number;
}

export type ConsumeResponse =
  | { type: 'deliver'; consumerId: number; deliveries: readonly DeliverItem[] }
  /**
   * The consumer is gone from the store; the gateway attaches again where the partition is led, with what is held.
   * `leader` is who leads as far as this store knows, 0 when it does not.
   */
  | { type: 'detached'; consumerId: number; reason: DetachReason; leader: number }
  /**
   * Whether work waits in this partition for want of this consumer's credit, told when that begins or ends, also to a
   * consumer with a window of 0: a gateway moves the unused credit of a worker from partitions without work to those
   * with.
   *
   * Sent as well in answer to every `window`, once whatever was assigned under the former one has been sent: only then
   * may the credit that was taken back be given to another partition. The answer repeats what was said last (false when
   * nothing was), and a change that the new window brings is said by itself: so whoever hears the same twice hears an
   * answer.
   */
  | { type: 'waiting'; consumerId: number; waiting: boolean }
  /** Of what the consumer said it holds, this is with others, or settled. It takes places of the window all the same. */
  | { type: 'lost'; consumerId: number; offsets: readonly number[] }
  /** This store leads the partition, and is to be told what this gateway has there. Said to every new channel as well. */
  | { type: 'leading'; partition: number; term: number }
  /** Everything up to this number is committed, or says nothing any more. */
  | { type: 'settled'; partition: number; upTo: number };

export type DetachReason = 'queue-removed' | 'not-leader' | 'fenced';

export interface DeliverItem {
  offset: number;
  rowBase: number;
  /** 1 for the first delivery. */
  deliveryCount: number;
  /** One encoded record, a view into the bytes of its batch. */
  record: Uint8Array;
}
