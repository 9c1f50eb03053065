import type { ReadState } from '@sluice/raft/ready';

/**
 * Reads of one group that wait for two things, in this order: that leadership is confirmed for a moment after the
 * request, and that the machine has applied up to the index that was committed then. A change of leadership or term
 * answers all of them with false: the core forgets them.
 */
export class ReadBarriers {
  readonly #requested = new Map<number, (led: boolean) => void>();
  #confirmed: { index: number; resolve: (led: boolean) => void }[] = [];
  #context = 0;

  /** A context for `RaftGroup.requestRead`, and what becomes of it. */
  begin(): { context: number; outcome: Promise<boolean> } {
    const context = ++this.#context;
    const outcome = new Promise<boolean>((resolve) => this.#requested.set(context, resolve));
    return { context, outcome };
  }

  refuse(context: number): void {
    const resolve = this.#requested.get(context);
    this.#requested.delete(context);
    resolve?.(false);
  }

  confirmed(states: readonly ReadState[], appliedIndex: number): void {
    for (const { context, index } of states) {
      const resolve = this.#requested.get(context);
      if (resolve === undefined) continue;
      this.#requested.delete(context);
      if (index <= appliedIndex) resolve(true);
      else this.#confirmed.push({ index, resolve });
    }
  }

  applied(index: number): void {
    if (this.#confirmed.length === 0) return;
    const waiting = this.#confirmed;
    this.#confirmed = [];
    for (const read of waiting) {
      if (read.index <= index) read.resolve(true);
      else this.#confirmed.push(read);
    }
  }

  failAll(): void {
    const waiting = [...this.#requested.values(), ...this.#confirmed.map(({ resolve }) => resolve)];
    this.#requested.clear();
    this.#confirmed = [];
    for (const resolve of waiting) resolve(false);
  }
}
