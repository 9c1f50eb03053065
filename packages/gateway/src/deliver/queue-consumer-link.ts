import type { SessionSubscription } from '@sluice/mqtt/protocol/session-state';
import type { GatewaySession } from './gateway-session.ts';
import type {
  QueueAttachment,
  QueueConsumer,
  QueueDelivery,
  QueueReference,
  QueueSubscriptions,
} from './queue-subscriptions.ts';
import { QueuedMessage, type QueueSettlement } from './queued-message.ts';

/**
 * A queue subscription of one session: deliveries on their way out, settlements on their way back.
 *
 * After `detach` the queue has everything again that was not settled, so an acknowledgement that arrives later must not
 * reach it: somebody else may hold the message by then.
 */
export class QueueConsumerLink implements QueueConsumer, QueueSettlement {
  readonly clientId: string;
  readonly #session: GatewaySession;
  readonly #subscription: SessionSubscription;
  readonly #attachment: QueueAttachment;
  /** Deliveries that came before `attach` had returned. */
  #early: QueueDelivery[] | undefined = [];
  #window: number;
  detached = false;

  constructor(session: GatewaySession, subscription: SessionSubscription, queues: QueueSubscriptions) {
    this.clientId = session.clientId;
    this.#session = session;
    this.#subscription = subscription;
    this.#window = session.queueAllowance;
    this.#attachment = queues.attach(referenceOf(subscription), this);
    const early = this.#early;
    this.#early = undefined;
    if (early !== undefined && early.length > 0) this.deliver(early);
  }

  get window(): number {
    return this.#window;
  }

  deliver(deliveries: readonly QueueDelivery[]): void {
    if (this.detached) return;
    if (this.#early !== undefined) {
      this.#early.push(...deliveries);
      return;
    }
    const session = this.#session;
    const { request, subscriptionIdentifier, qos } = this.#subscription;
    // `$q/` is QoS 1 whatever was asked: stock consumers subscribe at 0 and rely on redelivery.
    const granted = request.kind === 'queue-by-filter' || qos > 0 ? 1 : 0;
    for (const delivery of deliveries) {
      const message = new QueuedMessage(this, delivery);
      session.deliverFromQueue(message, granted, subscriptionIdentifier, message, session.nowFor(message));
    }
  }

  get recordBytesMax(): number {
    return this.#session.recordBytesMax;
  }

  mayConsume(topicFilter: string): boolean {
    return this.#session.mayConsume(topicFilter);
  }

  lookAgain(): void {
    if (!this.detached) this.#attachment.lookAgain();
  }

  settle(delivery: QueueDelivery, accepted: boolean): void {
    if (this.detached) return;
    if (accepted) this.#attachment.accept(delivery);
    else this.#attachment.reject(delivery);
  }

  tooLarge(delivery: QueueDelivery): void {
    if (!this.detached) this.#attachment.tooLarge(delivery);
  }

  /** Its client is on another connection, which may take packets of another size. */
  sizeChanged(): void {
    if (!this.detached) this.#attachment.setRecordBytesMax(this.recordBytesMax);
  }

  setWindow(window: number): void {
    if (this.detached || window === this.#window) return;
    this.#window = window;
    this.#attachment.setWindow(window);
  }

  detach(): void {
    if (this.detached) return;
    this.detached = true;
    this.#attachment.detach();
  }
}

function referenceOf(subscription: SessionSubscription): QueueReference {
  const { request } = subscription;
  if (request.kind === 'queue-by-name') return { by: 'name', name: request.name, filter: request.filter };
  return { by: 'filter', filter: request.filter };
}
