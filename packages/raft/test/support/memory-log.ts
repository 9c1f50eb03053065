import { assert } from '@sluice/common/assert';
import type { Entry, HardState, Membership, SnapshotMeta } from '../../src/entry.ts';
import { EntryKind } from '../../src/entry.ts';
import type { LogReader } from '../../src/log-reader.ts';

/**
 * A disk that keeps its promises and no more: what was written and not synced is gone after a crash. The core sees the
 * synced part only, so a core that acknowledges too early loses data here as it would in earnest.
 */
export interface Image {
  hardState: HardState;
  /** Of the log's start, with the machine's state up to there. */
  snapshot: SnapshotMeta;
  machine: string[];
  entries: Entry[];
}

export interface Write {
  hardState: HardState | undefined;
  snapshot: { meta: SnapshotMeta; machine: string[] } | undefined;
  entries: readonly Entry[];
}

export class MemoryLog implements LogReader {
  readonly #image: Image;

  constructor(membership: Membership) {
    const snapshot = { index: 0, term: 0, membership };
    this.#image = { hardState: { term: 0, vote: 0, commit: 0 }, snapshot, machine: [], entries: [] };
  }

  get image(): Readonly<Image> {
    return this.#image;
  }

  firstIndex(): number {
    return this.#image.snapshot.index + 1;
  }
  lastIndex(): number {
    return this.#image.snapshot.index + this.#image.entries.length;
  }
  term(index: number): number | undefined {
    if (index === this.#image.snapshot.index) return this.#image.snapshot.term;
    return this.entry(index)?.term;
  }
  sizeBytes(index: number): number {
    const entry = this.entry(index);
    assert(entry !== undefined, 'sizes are asked of durable entries only');
    return entry.data.length;
  }
  entry(index: number): Entry | undefined {
    return this.#image.entries[index - this.firstIndex()];
  }
  membershipEntriesAfter(index: number): Entry[] {
    return this.#image.entries.filter((entry) => entry.index > index && entry.kind === EntryKind.MEMBERSHIP);
  }

  /** One synced write, all of it. */
  sync(write: Write): void {
    const image = this.#image;
    if (write.snapshot !== undefined) {
      image.snapshot = write.snapshot.meta;
      image.machine = [...write.snapshot.machine];
      image.entries = [];
    }
    const first = write.entries[0];
    if (first !== undefined) {
      assert(
        first.index > image.snapshot.index && first.index <= this.lastIndex() + 1,
        `a write from ${first.index} fits the log ${this.firstIndex()}..${this.lastIndex()}`,
      );
      image.entries.length = first.index - this.firstIndex();
      image.entries.push(...write.entries);
    }
    if (write.hardState !== undefined) image.hardState = { ...write.hardState };
  }

  compact(meta: SnapshotMeta, machine: readonly string[]): void {
    const image = this.#image;
    if (meta.index <= image.snapshot.index) return;
    image.entries.splice(0, meta.index - image.snapshot.index);
    image.snapshot = meta;
    image.machine = [...machine];
  }
}
