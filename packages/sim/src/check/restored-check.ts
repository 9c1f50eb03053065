import { type Delivery, type Message, QueueCheck } from './queue-check.ts';

/** A cluster that was made of a backup: nothing is done to it, and what it hands out was published to the former one, or to it. */
export class RestoredCheck extends QueueCheck {
  /** By message, its place. */
  readonly found = new Map<number, string>();

  constructor(former: readonly Message[]) {
    super(() => true);
    for (const message of former) this.published(message);
  }

  override delivered(delivery: Delivery): void {
    super.delivered(delivery);
    const { id, queueId, partition, offset } = delivery;
    this.found.set(id, `${queueId}:${partition}:${offset}`);
  }
}
