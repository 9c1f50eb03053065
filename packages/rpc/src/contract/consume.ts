/**
 * Consuming, gateway to store. The window is the consumer's credit: no more than that is ever outstanding, so a slow
 * worker holds at most its window. Consumer ids are the gateway's, unique on the channel. When the channel closes,
 * everything its consumers held is available to others at once.
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
    }
  | { type: 'window'; consumerId: number; window: number }
  | { type: 'detach'; consumerId: number }
  /** Everything one turn settled, of all consumers of this channel. */
  | { type: 'settle'; items: readonly SettleItem[] };

export interface SettleItem {
  consumerId: number;
  offset: number;
  /** False returns it: available to others at once, its delivery count raised. */
  accepted: boolean;
}

export type ConsumeResponse =
  | { type: 'deliver'; consumerId: number; deliveries: readonly DeliverItem[] }
  /**
   * The consumer is gone from the store, and what it held is available to others; the gateway attaches again where the
   * partition is led. `leader` is who leads as far as this store knows, 0 when it does not.
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
  | { type: 'waiting'; consumerId: number; waiting: boolean };

export type DetachReason = 'queue-removed' | 'not-leader' | 'fenced';

export interface DeliverItem {
  offset: number;
  rowBase: number;
  /** 1 for the first delivery. */
  deliveryCount: number;
  /** One encoded record, a view into the bytes of its batch. */
  record: Uint8Array;
}
