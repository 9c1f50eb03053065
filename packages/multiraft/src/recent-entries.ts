import type { Entry } from '@sluice/raft/entry';

/**
 * The newest entries of one group, from the moment they are handed to the disk until they are applied, so that applying
 * and sending them reads no disk. Keeping everything until it is applied is not bounded when the machine stands still
 * (its disk is full) while the log goes on; so beyond `BYTES_MAX` the oldest durable ones go, and are read from the log.
 */
export class RecentEntries {
  readonly #entries = new Map<number, Entry>();
  #bytes = 0;
  #last = 0;

  static readonly BYTES_MAX = 32 * 1024 * 1024;

  get bytes(): number {
    return this.#bytes;
  }

  get(index: number): Entry | undefined {
    return this.#entries.get(index);
  }

  /** `durable` is the last index the log holds: what is not there yet is nowhere else and stays. */
  append(entries: readonly Entry[], durable: number): void {
    for (const entry of entries) {
      // A superseded tail must not be taken for the log's.
      for (; this.#last >= entry.index; this.#last--) this.delete(this.#last);
      this.#entries.set(entry.index, entry);
      this.#bytes += entry.data.length;
      this.#last = entry.index;
    }
    if (this.#bytes <= RecentEntries.BYTES_MAX) return;
    for (const index of this.#entries.keys()) {
      if (this.#bytes <= RecentEntries.BYTES_MAX || index > durable) return;
      this.delete(index);
    }
  }

  delete(index: number): void {
    const entry = this.#entries.get(index);
    if (entry === undefined) return;
    this.#entries.delete(index);
    this.#bytes -= entry.data.length;
  }

  clear(): void {
    this.#entries.clear();
    this.#bytes = 0;
    this.#last = 0;
  }
}
