import type { Entry } from '@sluice/raft/entry';

/**
 * The newest entries of one group, from the moment they are handed to the disk until they are applied, so that applying
 * and sending them reads no disk. Keeping everything until it is applied is not bounded when the machine stands still
 * (its disk is full) while the log goes on; so beyond `BYTES_MAX` the oldest durable ones go, and are read from the log.
 *
 * A stretch of the log without holes: it grows at its end, and shrinks at its front.
 * @hotpath
 */
export class RecentEntries {
  #entries: Entry[] = [];
  /** Where the stretch begins in the array; what lies before is gone. */
  #head = 0;
  /** Index of the entry at `#head`. */
  #first = 0;
  #bytes = 0;

  static readonly BYTES_MAX = 32 * 1024 * 1024;
  /** The array is moved to its front when that many slots before it are unused, and half of all. */
  static readonly UNUSED_MAX = 1024;

  get bytes(): number {
    return this.#bytes;
  }

  get(index: number): Entry | undefined {
    return index < this.#first ? undefined : this.#entries[this.#head + index - this.#first];
  }

  /** `durable` is the last index the log holds: what is not there yet is nowhere else and stays. */
  append(entries: readonly Entry[], durable: number): void {
    const first = entries[0];
    if (first === undefined) return;
    this.#makeEndAt(first.index);
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i] as Entry;
      this.#entries.push(entry);
      this.#bytes += entry.data.length;
    }
    while (this.#bytes > RecentEntries.BYTES_MAX && this.#first <= durable) this.#dropFirst();
  }

  /** Everything up to `index` was applied. */
  applied(index: number): void {
    while (this.#first <= index && this.#head < this.#entries.length) this.#dropFirst();
  }

  clear(): void {
    this.#entries = [];
    this.#head = 0;
    this.#first = 0;
    this.#bytes = 0;
  }

  /** A superseded tail must not be taken for the log's, nor entries behind a gap for the next ones. */
  #makeEndAt(index: number): void {
    const kept = index - this.#first;
    const count = this.#entries.length - this.#head;
    if (kept < 0 || kept > count) this.clear();
    else {
      for (let i = kept; i < count; i++) this.#bytes -= (this.#entries[this.#head + i] as Entry).data.length;
      // Nearly always nothing: to set the length as it is takes a walk out of JavaScript.
      if (kept < count) this.#entries.length = this.#head + kept;
    }
    if (this.#head === this.#entries.length) this.#first = index;
  }

  #dropFirst(): void {
    this.#bytes -= (this.#entries[this.#head] as Entry).data.length;
    // The array must not keep it alive.
    this.#entries[this.#head] = GONE;
    this.#head++;
    this.#first++;
    if (this.#head < RecentEntries.UNUSED_MAX || 2 * this.#head < this.#entries.length) return;
    this.#entries.splice(0, this.#head);
    this.#head = 0;
  }
}

const GONE: Entry = { term: 0, index: 0, kind: 0, data: new Uint8Array(0) };
