/**
 * Consuming, gateway to store. The window is the consumer's credit: no more than that is ever outstanding, so a slow
 * worker holds at most its window. Consumer ids are the gateway's, unique on the channel. When the channel closes,
 * everything its consumers held is available to others at once.
 */
export type ConsumeRequest =
  | { type: 'attach'; consumerId: number; partition: number; queueId: number; window: number; clientId: string }
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
  /** The consumer is gone from the store; the gateway attaches again when the topology says where. */
  | { type: 'detached'; consumerId: number; reason: 'queue-removed' | 'not-leader' };

export interface DeliverItem {
  offset: number;
  rowBase: number;
  /** 1 for the first delivery. */
  deliveryCount: number;
  /** One encoded record, a view into the bytes of its batch. */
  record: Uint8Array;
}
