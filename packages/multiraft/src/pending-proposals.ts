/**
 * Proposals of this leader that wait for their entry to be applied, by index. An entry at that index of another term is
 * somebody else's: the proposal was lost with the leadership, and is reported as such, never as done.
 */
export class PendingProposals {
  readonly #byIndex = new Map<number, Pending>();

  get size(): number {
    return this.#byIndex.size;
  }

  /** `nowMs`: by the monotonic clock. */
  add(index: number, term: number, token: unknown, nowMs: number): void {
    this.#byIndex.set(index, { term, token, proposedMs: nowMs });
  }

  /** What waited for exactly this entry; `lost` waited at this index under another term. */
  take(index: number, term: number): { token: unknown; lost: boolean; proposedMs: number } | undefined {
    const pending = this.#byIndex.get(index);
    if (pending === undefined) return undefined;
    this.#byIndex.delete(index);
    return { token: pending.token, lost: pending.term !== term, proposedMs: pending.proposedMs };
  }

  /**
   * A term's first entry was applied. Terms in a log only grow, so what was proposed in earlier ones and lies behind it is
   * not in the log and never will be.
   */
  takeOlder(term: number): unknown[] {
    const tokens: unknown[] = [];
    for (const [index, pending] of this.#byIndex) {
      if (pending.term >= term) continue;
      this.#byIndex.delete(index);
      tokens.push(pending.token);
    }
    return tokens;
  }

  /** Empties it; the tokens in index order. */
  takeAll(): unknown[] {
    const tokens = [...this.#byIndex.values()].map((pending) => pending.token);
    this.#byIndex.clear();
    return tokens;
  }
}

interface Pending {
  term: number;
  token: unknown;
  proposedMs: number;
}
