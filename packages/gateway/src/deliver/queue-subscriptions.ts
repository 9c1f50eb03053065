import type { RecordView } from '@sluice/queue/record/record-view';

/**
 * What the connections need of the durable side of a subscription. Implemented by `queue-attachments`.
 * A queue need not exist: the subscription waits, and starts to deliver once it does.
 */
export interface QueueSubscriptions {
  /** Attaches a consumer; deliveries arrive through it until `detach`. */
  attach(reference: QueueReference, consumer: QueueConsumer): QueueAttachment;
  /** Topic filter of the queue of that name; undefined while there is none. */
  filterOf(name: string): string | undefined;
}

/** `$q/<filter>`: by filter. `$queue/<name>[/<filter>]`: by name, and only if the filter is equal when given. */
export type QueueReference =
  | { by: 'filter'; filter: string }
  | { by: 'name'; name: string; filter: string | undefined };

export interface QueueAttachment {
  /** Consumed: it will not come again, also after a restart once this has been replicated. */
  accept(delivery: QueueDelivery): void;
  /** Not consumed: available to others at once, its delivery count raised. */
  reject(delivery: QueueDelivery): void;
  /** Most deliveries that may be outstanding; 0 pauses. Never raised beyond the queue's `local_max_inflight`. */
  setWindow(window: number): void;
  /** Its client takes no packet of that size, and was sent nothing: to others, or kept, where its store knows of sizes. */
  tooLarge(delivery: QueueDelivery): void;
  /** As `QueueConsumer.recordBytesMax`, which is another one now. */
  setRecordBytesMax(recordBytesMax: number): void;
  /** What its client may consume is another thing now. */
  lookAgain(): void;
  /** Everything outstanding becomes available to others at once. Idempotent. */
  detach(): void;
}

/** One record on its way to one consumer. Held by the session under its packet id until settled. */
export interface QueueDelivery {
  readonly queueId: number;
  readonly partition: number;
  readonly offset: number;
  /** Base offset of the index row that holds `offset`: settling needs it. */
  readonly rowBase: number;
  /** 1 for the first delivery. */
  readonly deliveryCount: number;
  readonly record: RecordView;
}

/** The connection's side. Deliveries of one turn come in one call. */
export interface QueueConsumer {
  readonly clientId: string;
  /** min(Receive Maximum, what the connection wants); the attachment takes the smaller of this and the queue's. */
  readonly window: number;
  /** No larger record fits its client's packets; 0: any does. */
  readonly recordBytesMax: number;
  deliver(deliveries: readonly QueueDelivery[]): void;
  /** Asked when a queue turns out to be the one it means: only then is it known what that queue keeps. */
  mayConsume(topicFilter: string): boolean;
}
