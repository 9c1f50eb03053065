import { assert } from '@sluice/common/assert';
import { SluiceError } from '@sluice/common/errors';
import type { Entry, SnapshotMeta } from './entry.ts';
import type { LogReader } from './log-reader.ts';
import { UnstableLog } from './unstable-log.ts';

/**
 * One log out of two parts: what is durable, seen through the host's `LogReader`, and the unstable tail.
 *
 *     firstIndex        applied        commit      persisted     last
 *         |---------------|--------------|-------------|-----------|
 *         <------------------ reader ------------------><- unstable ->
 *
 * The reader is only believed below the unstable offset: above it the disk may still hold what was replaced since.
 * Invariants: applied <= handed <= min(commit, persisted), and nothing at or below commit is ever replaced. Entries
 * are handed out for applying only once they are durable here, so that no machine is ever ahead of its own log.
 */
export class RaftLog {
  readonly #reader: LogReader;
  readonly unstable: UnstableLog;
  #commit: number;
  #applied: number;
  /** Handed out for applying, up to here. */
  #handed: number;

  constructor(reader: LogReader, commit: number, snapshot: { index: number; term: number }, appliedIndex: number) {
    const last = reader.lastIndex();
    const first = reader.firstIndex();
    if (last < snapshot.index || appliedIndex > last || appliedIndex < first - 1) {
      throw new SluiceError(
        'RAFT_LOG_INCONSISTENT',
        `log ${first}..${last} does not fit snapshot ${snapshot.index} and applied index ${appliedIndex}`,
        { hint: 'the log and the machine are not of the same replica; wipe it and join under a new peer id' },
      );
    }
    this.#reader = reader;
    this.unstable = new UnstableLog(last + 1);
    // A commit index stored long ago lags; what was applied was committed, whatever the hard state says.
    this.#commit = Math.max(Math.min(commit, last), appliedIndex);
    this.#applied = appliedIndex;
    this.#handed = appliedIndex;
  }

  get commit(): number {
    return this.#commit;
  }
  get applied(): number {
    return this.#applied;
  }
  get lastIndex(): number {
    return this.unstable.lastIndex;
  }
  /** Durable here and not replaced since. */
  get persistedIndex(): number {
    return this.unstable.snapshot === undefined ? this.unstable.offset - 1 : 0;
  }

  firstIndex(): number {
    const snapshot = this.unstable.snapshot;
    return snapshot === undefined ? this.#reader.firstIndex() : snapshot.index + 1;
  }

  /** Known from `firstIndex() - 1` to `lastIndex`; index 0, before everything, has term 0. */
  term(index: number): number | undefined {
    if (index >= this.unstable.offset) return this.unstable.term(index);
    const snapshot = this.unstable.snapshot;
    if (snapshot !== undefined) return index === snapshot.index ? snapshot.term : undefined;
    return index === 0 && this.#reader.firstIndex() === 1 ? 0 : this.#reader.term(index);
  }

  lastTerm(): number {
    const term = this.term(this.lastIndex);
    assert(term !== undefined, 'the term of the last entry, or of the snapshot before it, is always known');
    return term;
  }

  sizeBytes(index: number): number {
    return this.unstable.sizeBytes(index) ?? this.#reader.sizeBytes(index);
  }

  /** The voter's half of the election restriction (thesis 3.6.1): term first, then length. */
  isUpToDate(lastIndex: number, lastTerm: number): boolean {
    const own = this.lastTerm();
    return lastTerm > own || (lastTerm === own && lastIndex >= this.lastIndex);
  }

  append(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    assert(first.index > this.#commit, 'a committed entry is never replaced');
    this.unstable.append(entries);
  }

  /** Position in `entries` of the first one the log lacks or holds with another term; `entries.length` for none. */
  findConflict(entries: readonly Entry[]): number {
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i] as Entry;
      if (this.term(entry.index) !== entry.term) return i;
    }
    return entries.length;
  }

  /** The last index at or before `index` whose term is at most `term`: the logs cannot agree after it. */
  findConflictByTerm(index: number, term: number): number {
    let at = index;
    for (;;) {
      const own = this.term(at);
      if (own === undefined || own <= term) return at;
      at--;
    }
  }

  commitTo(index: number): boolean {
    if (index <= this.#commit) return false;
    assert(index <= this.lastIndex, 'only what the log holds can be committed');
    this.#commit = index;
    return true;
  }

  restore(snapshot: SnapshotMeta): void {
    assert(snapshot.index > this.#commit, 'a snapshot older than the log must not replace it');
    this.unstable.restore(snapshot);
    this.#commit = snapshot.index;
    this.#handed = snapshot.index;
  }

  persisted(term: number, index: number): boolean {
    const restoring = this.unstable.snapshot;
    const changed = this.unstable.persisted(term, index);
    // A snapshot is durable together with the machine's state.
    if (restoring !== undefined && this.unstable.snapshot === undefined) {
      this.#applied = Math.max(this.#applied, restoring.index);
    }
    return changed;
  }

  appliedTo(index: number): void {
    if (index <= this.#applied) return;
    assert(index <= this.#handed, 'only what was handed out can have been applied');
    this.#applied = index;
  }

  hasCommitted(): boolean {
    return Math.min(this.#commit, this.persistedIndex) > this.#handed;
  }

  /** Committed, durable, and not handed out before. */
  takeCommitted(): { first: number; last: number } {
    const first = this.#handed + 1;
    const last = Math.max(Math.min(this.#commit, this.persistedIndex), this.#handed);
    this.#handed = last;
    return { first, last };
  }
}
