import type { StoredFilter } from '@sluice/rpc/contract/sessions';

/**
 * What the client of a kept session subscribes to and leaves, on its way into its partition. A question goes round until
 * it is answered, so of two under way the later may be applied first: who subscribes to a filter and leaves it at once
 * would have it for good. So one is under way at a time, and what comes meanwhile is the next, in its order.
 *
 * The line outlives the connection that a change came over. Who takes the session over on this gateway, and asks again
 * what was not answered, finds it done in memory and not in the store: the answer is this line's end.
 *
 * A change that fails ends the line: nobody knows what the store has, and its client comes again. It is bounded by the
 * answers that a client may have unread, since those of waiting changes are.
 */
export class SubscriptionLine {
  readonly #stores: SubscriptionStores;
  #steps: Step[] = [];
  #isAsking = false;
  /** Of the last that came; undefined: all are answered. */
  #newest: Promise<boolean> | undefined;

  /** Filters of one question: each begins or ends a stream, and a store applies a command in one turn. */
  static readonly FILTERS_MAX = 64;

  constructor(stores: SubscriptionStores) {
    this.#stores = stores;
  }

  subscribe(filters: readonly StoredFilter[]): Promise<boolean> {
    return this.#change(filters.map((stored) => ({ text: stored.filter, stored })));
  }

  /** Those that it has; undefined: there is nothing to wait for. */
  unsubscribe(texts: readonly string[]): Promise<boolean> | undefined {
    return texts.length === 0 ? this.#newest : this.#change(texts.map((text) => ({ text, stored: undefined })));
  }

  #change(filters: readonly Pick<Step, 'text' | 'stored'>[]): Promise<boolean> {
    const answer = new Promise<boolean>((resolve) => {
      const change = { left: filters.length, resolve };
      for (const filter of filters) this.#steps.push({ ...filter, change });
    });
    this.#newest = answer;
    if (!this.#isAsking) void this.#ask();
    return answer;
  }

  /** The connection is over, and its end comes behind what it asked before. Nobody is answered any more. */
  close(): void {
    while (this.#steps.length > 0) void this.#put(this.#next());
  }

  async #ask(): Promise<void> {
    this.#isAsking = true;
    while (this.#steps.length > 0) await this.#put(this.#next());
    this.#newest = undefined;
    this.#isAsking = false;
  }

  async #put(asked: readonly Step[]): Promise<void> {
    const stored = asked.flatMap((step) => step.stored ?? []);
    const isKept = await (stored.length > 0
      ? this.#stores.subscribe(stored)
      : this.#stores.unsubscribe(asked.map(({ text }) => text)));
    const answered = isKept ? asked : [...asked, ...this.#steps.splice(0)];
    for (const { change } of answered) if (--change.left === 0) change.resolve(isKept);
  }

  /** All of one kind. */
  #next(): Step[] {
    const isStored = this.#steps[0]?.stored !== undefined;
    const end = this.#steps.findIndex(({ stored }) => (stored !== undefined) !== isStored);
    return this.#steps.splice(0, Math.min(end === -1 ? this.#steps.length : end, SubscriptionLine.FILTERS_MAX));
  }
}

/** False: it is not kept, or nobody knows. */
export interface SubscriptionStores {
  subscribe(filters: readonly StoredFilter[]): Promise<boolean>;
  unsubscribe(texts: readonly string[]): Promise<boolean>;
}

interface Step {
  readonly text: string;
  /** Undefined: it is left. */
  readonly stored: StoredFilter | undefined;
  readonly change: { left: number; readonly resolve: (isKept: boolean) => void };
}
