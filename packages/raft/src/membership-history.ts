import { assert } from '@sluice/common/assert';
import { decodeMembership } from './conf-change.ts';
import type { Entry, Membership } from './entry.ts';
import { EntryKind } from './entry.ts';

/**
 * A membership holds from the moment its entry is in the log, committed or not (thesis 4.1): waiting for the commit
 * would let two changes overlap. The price is that a truncated entry must be undone and that a snapshot must carry the
 * membership of its own index, so the memberships since the applied index are kept, oldest first.
 */
interface Item {
  index: number;
  membership: Membership;
}

export class MembershipHistory {
  /** Never empty; the first one is of the applied index or before. */
  #items: Item[];

  constructor(index: number, membership: Membership, later: readonly Entry[]) {
    this.#items = [{ index, membership }];
    for (const entry of later) this.append(entry);
  }

  get latest(): Membership {
    return (this.#items[this.#items.length - 1] as Item).membership;
  }
  get latestIndex(): number {
    return (this.#items[this.#items.length - 1] as Item).index;
  }

  /** The membership that held at `index`. */
  at(index: number): Membership {
    let found = (this.#items[0] as Item).membership;
    for (const item of this.#items) if (item.index <= index) found = item.membership;
    return found;
  }

  /** The memberships that may still be in force while `commit` is the commit index. */
  *since(commit: number): Generator<Membership> {
    for (let i = 0; i < this.#items.length; i++) {
      const next = this.#items[i + 1];
      if (next === undefined || next.index > commit) yield (this.#items[i] as Item).membership;
    }
  }

  append(entry: Entry): void {
    assert(entry.kind === EntryKind.MEMBERSHIP && entry.index > this.latestIndex, 'memberships come in log order');
    this.#items.push({ index: entry.index, membership: decodeMembership(entry.data) });
  }

  /** True when a membership was undone. */
  truncateFrom(index: number): boolean {
    let undone = false;
    while (this.#items.length > 1 && this.latestIndex >= index) {
      this.#items.pop();
      undone = true;
    }
    return undone;
  }

  restore(index: number, membership: Membership): void {
    this.#items = [{ index, membership }];
  }

  appliedTo(index: number): void {
    let keep = 0;
    while (keep + 1 < this.#items.length && (this.#items[keep + 1] as Item).index <= index) keep++;
    if (keep > 0) this.#items.splice(0, keep);
  }
}
