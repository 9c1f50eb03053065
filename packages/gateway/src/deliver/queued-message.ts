import type { Properties } from '@sluice/mqtt/codec/packet';
import type { DeliverableMessage } from '@sluice/mqtt/protocol/deliverable-message';
import type { DeliverySource } from '@sluice/mqtt/protocol/outbound-message';
import type { QueueDelivery } from './queue-subscriptions.ts';

/**
 * One delivery of a queue as an outbound message, read lazily from the record's bytes, and the way back for what the
 * client says to it. One object for both: there is one a delivery.
 *
 * The record's bytes belong to the delivery batch and stay valid while somebody refers to them, so keeping the message
 * needs no copy; how many are kept is bounded by the attachment's window.
 *
 * @hotpath
 */
export class QueuedMessage implements DeliverableMessage, DeliverySource {
  readonly #settlement: QueueSettlement;
  readonly #delivery: QueueDelivery;

  constructor(settlement: QueueSettlement, delivery: QueueDelivery) {
    this.#settlement = settlement;
    this.#delivery = delivery;
  }

  get topic(): string {
    return this.#delivery.record.topic;
  }
  get payload(): Uint8Array {
    return this.#delivery.record.payload;
  }
  get expiresAtMs(): number {
    return this.#delivery.record.expiresAtMs;
  }
  /** The record's own object; from the second delivery on a copy that also carries the count. */
  get properties(): Properties | undefined {
    const { record, deliveryCount } = this.#delivery;
    const own: Properties | undefined = record.properties;
    if (deliveryCount < 2) return own;
    const counted: Properties = { ...own };
    counted.userProperties = [...(own?.userProperties ?? []), DELIVERY_COUNT, String(deliveryCount)];
    return counted;
  }
  get heldBytes(): number {
    return this.#delivery.record.sizeBytes;
  }
  keep(): void {}

  get withdrawn(): boolean {
    return this.#settlement.detached;
  }
  accepted(): void {
    this.#settlement.settle(this.#delivery, true);
  }
  rejected(): void {
    this.#settlement.settle(this.#delivery, false);
  }
  tooLarge(): void {
    this.#settlement.tooLarge(this.#delivery);
  }
  /** The session ended: its attachment is detached, which returns everything. */
  returned(): void {}
}

/** User property that tells a worker that it may not be the first. */
const DELIVERY_COUNT = 'sluice-delivery-count';

export interface QueueSettlement {
  readonly detached: boolean;
  settle(delivery: QueueDelivery, accepted: boolean): void;
  tooLarge(delivery: QueueDelivery): void;
}
