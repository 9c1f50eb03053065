/**
 * Proposals of this leader that wait for their entry to be applied, by index. An entry at that index of another term is
 * somebody else's: the proposal was lost with the leadership, and is reported as such, never as done.
 *
 * The tables that a map has outgrown name what was in it, and each names the next. What is taken is therefore emptied:
 * when such a table is old garbage, which is looked for seldom, all proposals ever after would stay in memory with it.
 * The tables themselves would, too: a map that is emptied by nearly each proposal makes one each time. So whoever is alone
 * goes with his map.
 */
export class PendingProposals {
  #byIndex = new Map<number, Pending>();

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
    if (this.#byIndex.size === 1) this.#byIndex = new Map();
    else this.#byIndex.delete(index);
    return { token: takeToken(pending), lost: pending.term !== term, proposedMs: pending.proposedMs };
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
      tokens.push(takeToken(pending));
    }
    return tokens;
  }

  /** Empties it; the tokens in index order. */
  takeAll(): unknown[] {
    const tokens = [...this.#byIndex.values()].map(takeToken);
    this.#byIndex.clear();
    return tokens;
  }
}

function takeToken(pending: Pending): unknown {
  const { token } = pending;
  pending.token = undefined;
  return token;
}

interface Pending {
  term: number;
  token: unknown;
  proposedMs: number;
}
