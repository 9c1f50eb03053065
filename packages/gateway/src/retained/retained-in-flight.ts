import type { PendingPublish } from '../publish/durable-publish.ts';

/**
 * Retained messages that were given to the stores by this gateway and are not answered yet. A subscriber gets a message
 * live if its publish came after the subscription, and from the stores if it came before; one that came before and is
 * still on its way would be missed by both. So whoever reads for a new subscription first waits for those (`afterThose`),
 * here and, by what other gateways say of the routes they act on, everywhere.
 *
 * They are counted by generation, and a new one begins when somebody waits: nothing is searched and nobody waits for what
 * came later. Each is answered within the deadline of its publish.
 *
 * @hotpath
 */
export class RetainedInFlight {
  #newest = new Generation();
  /** Those somebody waits for, oldest first; the newest is not among them. */
  readonly #awaited: Generation[] = [];

  /** The publish it stands for; `pending` hears of it as it would have without. */
  begin(pending: PendingPublish): PendingPublish {
    const generation = this.#newest;
    generation.count++;
    return new Tracked(pending, generation, this);
  }

  /** Calls back when all that are under way now are answered; at once, when none is. Callbacks keep their order. */
  afterThose(listener: () => void): void {
    if (this.#newest.count === 0) {
      const last = this.#awaited.at(-1);
      if (last === undefined) listener();
      else last.listeners.push(listener);
      return;
    }
    this.#newest.listeners.push(listener);
    this.#awaited.push(this.#newest);
    this.#newest = new Generation();
  }

  answered(generation: Generation): void {
    if (--generation.count > 0) return;
    for (;;) {
      const oldest = this.#awaited[0];
      if (oldest === undefined || oldest.count > 0) return;
      this.#awaited.shift();
      for (const listener of oldest.listeners) listener();
    }
  }
}

class Generation {
  count = 0;
  readonly listeners: (() => void)[] = [];
}

class Tracked implements PendingPublish {
  readonly #pending: PendingPublish;
  readonly #generation: Generation;
  readonly #all: RetainedInFlight;

  constructor(pending: PendingPublish, generation: Generation, all: RetainedInFlight) {
    this.#pending = pending;
    this.#generation = generation;
    this.#all = all;
  }

  complete(reasonCode: number): void {
    this.#pending.complete(reasonCode);
    this.#all.answered(this.#generation);
  }
}
