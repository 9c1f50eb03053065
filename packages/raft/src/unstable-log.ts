import { assert } from '@sluice/common/assert';
import type { Entry, SnapshotMeta } from './entry.ts';

/**
 * The tail of the log that is not known to be durable. It has two parts: entries not yet handed to the host, with their
 * payloads, and behind `#handed` those under way to the disk, of which only term and size are kept.
 *
 * The problem is to know what a finished write has made durable. Comparing the term of its last entry is not enough:
 * while the write of (5, term 2) is under way, a leader of term 3 may overwrite index 5 and a leader of term 4 may put
 * the very same (5, term 2) back, and then the first report speaks of bytes that two later writes replace (A-B-A). So
 * the writes are kept in the order in which they were handed out, a report settles the oldest write it can mean, and
 * only what no later write touches becomes durable. Every index below `offset` is durable and unchanged.
 */
interface Write {
  /** Everything from here on was replaced by this write; 0 for a snapshot. */
  first: number;
  last: number;
  lastTerm: number;
  snapshot: boolean;
}

export class UnstableLog {
  /** Index of `#terms[0]`: everything below is durable. */
  #offset: number;
  /** The tail's, `#count` of each. What lies behind them is room: an array that is cut to nothing gives its memory away. */
  readonly #terms: number[] = [];
  readonly #sizes: number[] = [];
  #count = 0;
  /** Not yet handed to the host: the entries from `#offset + #handed` on. */
  #fresh: Entry[] = [];
  #handed = 0;
  #writes: Write[] = [];
  /** Accepted and not yet durable; while present it stands in for the reader's log. */
  #snapshot: SnapshotMeta | undefined;
  #snapshotHanded = false;

  /** Entries for which room is kept while there is none. */
  static readonly ROOM_MAX = 64;

  constructor(offset: number) {
    this.#offset = offset;
  }

  get offset(): number {
    return this.#offset;
  }
  get lastIndex(): number {
    return this.#offset + this.#count - 1;
  }
  get snapshot(): SnapshotMeta | undefined {
    return this.#snapshot;
  }
  /** Something for the next write. */
  get hasFresh(): boolean {
    return this.#fresh.length > 0 || (this.#snapshot !== undefined && !this.#snapshotHanded);
  }

  term(index: number): number | undefined {
    return index > this.lastIndex ? undefined : this.#terms[index - this.#offset];
  }
  sizeBytes(index: number): number | undefined {
    return index > this.lastIndex ? undefined : this.#sizes[index - this.#offset];
  }

  /** The first entry may lie inside the log: everything from there on is replaced. */
  append(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    assert(first.index <= this.lastIndex + 1, 'a log has no holes');
    if (first.index <= this.#offset) {
      this.#offset = first.index;
      this.#empty();
    } else if (first.index <= this.lastIndex) {
      const kept = first.index - this.#offset;
      this.#count = kept;
      this.#handed = Math.min(this.#handed, kept);
      this.#fresh.length = kept - this.#handed;
    }
    for (const entry of entries) {
      this.#terms[this.#count] = entry.term;
      this.#sizes[this.#count] = entry.data.length;
      this.#count++;
    }
    if (this.#fresh.length === 0) this.#fresh = entries.slice();
    else for (const entry of entries) this.#fresh.push(entry);
  }

  /** Replaces the log. Writes under way stay listed: their reports must not be taken for later ones. */
  restore(snapshot: SnapshotMeta): void {
    this.#offset = snapshot.index + 1;
    this.#empty();
    this.#snapshot = snapshot;
    this.#snapshotHanded = false;
  }

  takeSnapshot(): SnapshotMeta | undefined {
    if (this.#snapshotHanded || this.#snapshot === undefined) return undefined;
    this.#snapshotHanded = true;
    const { index, term } = this.#snapshot;
    this.#writes.push({ first: 0, last: index, lastTerm: term, snapshot: true });
    return this.#snapshot;
  }

  /** Hands the payloads to the host for one write; the core forgets them. Call `takeSnapshot` before. */
  takeEntries(): Entry[] {
    const entries = this.#fresh;
    const first = entries[0];
    const last = entries[entries.length - 1];
    if (first === undefined || last === undefined) return [];
    this.#fresh = [];
    this.#handed = this.#count;
    const write = { first: first.index, last: last.index, lastTerm: last.term, snapshot: false };
    // Mostly the one under way: an array that is pushed to from nothing takes room for seventeen.
    if (this.#writes.length === 0) this.#writes = [write];
    else this.#writes.push(write);
    return entries;
  }

  /** True when something became durable. A report that no write under way can mean is ignored. */
  persisted(term: number, index: number): boolean {
    let done = 0;
    while (done < this.#writes.length) {
      const write = this.#writes[done++] as Write;
      if (write.last !== index || write.lastTerm !== term) continue;
      return this.#settle(this.#takeWrites(done), index);
    }
    return false;
  }

  /** The oldest ones. */
  #takeWrites(count: number): readonly Write[] {
    const writes = this.#writes;
    if (count < writes.length) return writes.splice(0, count);
    this.#writes = [];
    return writes;
  }

  #settle(settled: readonly Write[], index: number): boolean {
    let durable = Math.min(index, this.#offset + this.#handed - 1);
    let snapshotAgain = false;
    for (const later of this.#writes) {
      durable = Math.min(durable, later.first - 1);
      snapshotAgain ||= later.snapshot;
    }
    let changed = false;
    if (this.#snapshotHanded && !snapshotAgain && settled.some((write) => write.snapshot)) {
      this.#snapshot = undefined;
      this.#snapshotHanded = false;
      changed = true;
    }
    const count = durable - this.#offset + 1;
    if (count <= 0) return changed;
    this.#dropFirst(count);
    this.#handed -= count;
    this.#offset += count;
    return true;
  }

  #dropFirst(count: number): void {
    this.#count -= count;
    if (this.#count > 0) {
      this.#terms.splice(0, count);
      this.#sizes.splice(0, count);
    } else if (this.#terms.length > UnstableLog.ROOM_MAX) {
      this.#terms.length = 0;
      this.#sizes.length = 0;
    }
  }

  #empty(): void {
    this.#dropFirst(this.#count);
    if (this.#fresh.length > 0) this.#fresh = [];
    this.#handed = 0;
  }
}
