import type { DurablePublish } from './publish/durable-publish.ts';

/** A connection that stopped reading because the durable side is full. */
export interface Relievable {
  relieved(): void;
}

/**
 * The durable side says `congested`; whoever publishes then is not read until relief. A connection learns it after a
 * publish of its own, so that subscribers, and publishers of other things, go on.
 */
export class Backpressure {
  readonly #durable: DurablePublish;
  #held = new Set<Relievable>();

  constructor(durable: DurablePublish) {
    this.#durable = durable;
    durable.onRelief(() => this.#relieve());
  }

  get congested(): boolean {
    return this.#durable.congested;
  }

  hold(connection: Relievable): void {
    this.#held.add(connection);
  }

  forget(connection: Relievable): void {
    this.#held.delete(connection);
  }

  #relieve(): void {
    const held = this.#held;
    this.#held = new Set();
    for (const connection of held) connection.relieved();
  }
}
