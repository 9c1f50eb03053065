import { assert } from '@sluice/common/assert';
import type { HardState } from '@sluice/raft/entry';
import type { RecoveredGroup } from '../../entry-log-contract.ts';
import { WindowColumns } from './window-columns.ts';

/** A front cut that is not yet on the disk. */
export interface PendingMark {
  index: number;
  term: number;
  chain: number;
  resets: boolean;
}

let generations = 0;

/** What a segment's base frame keeps of a group. */
export interface GroupScalars {
  groupId: number;
  hardState: HardState;
  firstIndex: number;
  lastIndex: number;
  /** Term and chain at `firstIndex - 1`. */
  compactedTerm: number;
  compactedChain: number;
  /** Chain at `lastIndex`. */
  lastChain: number;
}

/**
 * A group as far as the log answers without I/O: hard state, bounds, and for the contiguous log the terms as runs, and
 * size and chain of each entry. Invariant: `window.count === lastIndex - firstIndex + 1`.
 */
export class GroupState implements RecoveredGroup {
  readonly groupId: number;
  hardState: HardState = { term: 0, vote: 0, commit: 0 };
  firstIndex = 1;
  lastIndex = 0;
  compactedTerm = 0;
  compactedChain = 0;
  pendingMark: PendingMark | undefined = undefined;
  /** Changes when the whole log is voided: what was being moved for the old one must not come back. */
  generation = ++generations;
  /** A write of it is on its way to the disk. */
  writing = false;
  readonly #window = new WindowColumns();
  /** Runs of equal term: run i starts at index #runStarts[i]. */
  #runStarts: number[] = [];
  #runTerms: number[] = [];

  constructor(groupId: number) {
    this.groupId = groupId;
  }

  get lastTerm(): number {
    return this.lastIndex < this.firstIndex
      ? this.compactedTerm
      : (this.#runTerms[this.#runTerms.length - 1] as number);
  }

  term(index: number): number | undefined {
    if (index === this.firstIndex - 1) return this.compactedTerm;
    if (index < this.firstIndex || index > this.lastIndex) return undefined;
    const starts = this.#runStarts;
    let run = starts.length - 1;
    // Questions are about the end of the log, and a log has few terms.
    while ((starts[run] as number) > index) run--;
    return this.#runTerms[run];
  }

  dataBytes(index: number): number {
    this.#assertInside(index);
    return this.#window.dataBytes(index - this.firstIndex);
  }

  chain(index: number): number {
    if (index === this.firstIndex - 1) return this.compactedChain;
    this.#assertInside(index);
    return this.#window.chain(index - this.firstIndex);
  }

  #assertInside(index: number): void {
    assert(index >= this.firstIndex && index <= this.lastIndex, 'only entries of the contiguous log are asked for');
  }

  push(term: number, dataBytes: number, chain: number): void {
    this.lastIndex++;
    this.#window.push(dataBytes, chain);
    if (this.#runTerms.length === 0 || this.#runTerms[this.#runTerms.length - 1] !== term) {
      this.#runStarts.push(this.lastIndex);
      this.#runTerms.push(term);
    }
  }

  /** Drops the entries from `index` on. */
  cutFrom(index: number): void {
    assert(index >= this.firstIndex, 'what an image covers is committed and cannot be superseded');
    if (index > this.lastIndex) return;
    this.lastIndex = index - 1;
    this.#window.cutTo(this.lastIndex - this.firstIndex + 1);
    while (this.#runStarts.length > 0 && (this.#runStarts[this.#runStarts.length - 1] as number) >= index) {
      this.#runStarts.pop();
      this.#runTerms.pop();
    }
  }

  /** Drops the front up to `index`, which the log holds. */
  compactTo(index: number): void {
    const term = this.term(index);
    assert(term !== undefined, 'a front cut ends inside the log');
    this.compactedChain = this.chain(index);
    this.compactedTerm = term;
    this.#window.dropFront(index + 1 - this.firstIndex);
    this.firstIndex = index + 1;
    let runs = 0;
    while (runs + 1 < this.#runStarts.length && (this.#runStarts[runs + 1] as number) <= this.firstIndex) runs++;
    this.#runStarts.splice(0, runs);
    this.#runTerms.splice(0, runs);
  }

  /** The log becomes empty after `index`. */
  reset(index: number, term: number, chain: number): void {
    this.#window.cutTo(0);
    this.#runStarts = [];
    this.#runTerms = [];
    this.firstIndex = index + 1;
    this.lastIndex = index;
    this.compactedTerm = term;
    this.compactedChain = chain;
    this.generation = ++generations;
  }

  scalars(): GroupScalars {
    return {
      groupId: this.groupId,
      hardState: this.hardState,
      firstIndex: this.firstIndex,
      lastIndex: this.lastIndex,
      compactedTerm: this.compactedTerm,
      compactedChain: this.compactedChain,
      lastChain: this.chain(this.lastIndex),
    };
  }
}
