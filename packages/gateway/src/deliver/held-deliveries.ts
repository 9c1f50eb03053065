import type { HeldItem } from '@sluice/rpc/contract/consume';
import type { QueueDelivery } from './queue-subscriptions.ts';

/**
 * What a client holds of one partition, oldest first, linked through the deliveries themselves: it is looked through only
 * when a leader asks who holds what, and each message enters and leaves it.
 * @hotpath
 */
export class HeldDeliveries<D extends HeldDelivery> {
  #oldest: D | undefined;
  #newest: D | undefined;

  add(delivery: D): void {
    delivery.isHeld = true;
    delivery.previous = this.#newest;
    if (this.#newest === undefined) this.#oldest = delivery;
    else this.#newest.next = delivery;
    this.#newest = delivery;
  }

  remove(delivery: D): void {
    const { previous, next } = delivery as { previous: D | undefined; next: D | undefined };
    if (previous === undefined) this.#oldest = next;
    else previous.next = next;
    if (next === undefined) this.#newest = previous;
    else next.previous = previous;
    delivery.previous = undefined;
    delivery.next = undefined;
    delivery.isHeld = false;
  }

  /** These are with somebody else now. @returns how many of them were here. */
  removeAll(offsets: readonly number[]): number {
    const gone = new Set(offsets);
    let removed = 0;
    for (let delivery = this.#oldest; delivery !== undefined; ) {
      const next = delivery.next as D | undefined;
      if (gone.has(delivery.offset)) {
        this.remove(delivery);
        removed++;
      }
      delivery = next;
    }
    return removed;
  }

  /** They are with somebody else now, all of them. */
  release(): void {
    while (this.#oldest !== undefined) this.remove(this.#oldest);
  }

  /** As a new leader is told. */
  claims(): HeldItem[] {
    const claims: HeldItem[] = [];
    for (let delivery = this.#oldest; delivery !== undefined; delivery = delivery.next as D | undefined) {
      const { offset, rowBase, deliveryCount, record } = delivery;
      claims.push({ offset, rowBase, deliveryCount, sizeBytes: record.sizeBytes });
    }
    return claims;
  }
}

export interface HeldDelivery extends QueueDelivery {
  /** False once it was answered, or is with somebody else. */
  isHeld: boolean;
  previous: HeldDelivery | undefined;
  next: HeldDelivery | undefined;
}
