import type { KeyValue, KeyValueWrite } from './engine.ts';

/**
 * Rows of several writes, the last value of each; undefined: deleted. Keys are kept as latin1, which compares as bytes do.
 */
export class GatheredRows {
  readonly #rows = new Map<string, Uint8Array | undefined>();
  /** Rows that are here and were nowhere before: when one is deleted, nothing is left to be written. */
  readonly #new = new Set<string>();
  bytes = 0;

  get size(): number {
    return this.#rows.size;
  }

  /** Copies what it is given. */
  add(batch: readonly KeyValueWrite[]): void {
    for (let i = 0; i < batch.length; i++) {
      const row = batch[i] as KeyValueWrite;
      const { value, isNew } = row;
      const id = row.id ?? textOf(row.key);
      if (value === undefined && (isNew === true || this.#new.delete(id))) {
        this.#drop(id);
        continue;
      }
      if (isNew === true) this.#new.add(id);
      this.#put(id, value === undefined ? undefined : Buffer.from(value));
    }
  }

  #put(id: string, value: Uint8Array | undefined): void {
    this.bytes += (value?.length ?? 0) - (this.#rows.get(id)?.length ?? 0);
    if (!this.#rows.has(id)) this.bytes += id.length;
    this.#rows.set(id, value);
  }

  #drop(id: string): void {
    const before = this.#rows.get(id);
    if (this.#rows.delete(id)) this.bytes -= id.length + (before?.length ?? 0);
  }

  /** Newer ones. What the engine has taken of these is not known. */
  addAll(newer: GatheredRows): void {
    for (const [id, value] of newer.#rows) this.#put(id, value);
    this.#new.clear();
  }

  /** Newer ones of [from, to). */
  addRange(newer: GatheredRows, from: Uint8Array, to: Uint8Array): void {
    const [first, end] = [textOf(from), textOf(to)];
    for (const [id, value] of newer.#rows) if (id >= first && id < end) this.#rows.set(id, value);
  }

  has(key: Uint8Array): boolean {
    return this.#rows.has(textOf(key));
  }

  /** A copy. */
  get(key: Uint8Array): Uint8Array | undefined {
    const value = this.#rows.get(textOf(key));
    return value === undefined ? undefined : Buffer.from(value);
  }

  writes(): KeyValueWrite[] {
    const writes: KeyValueWrite[] = [];
    for (const [id, value] of this.#rows) writes.push({ key: Buffer.from(id, 'latin1'), value });
    return writes;
  }

  merge(): RowMerge {
    return new RowMerge([...this.#rows].sort(([a], [b]) => (a < b ? -1 : 1)));
  }
}

/** Puts gathered rows in place of, between and behind those that are stored, in their order. */
export class RowMerge {
  readonly #gathered: readonly [string, Uint8Array | undefined][];
  #at = 0;

  constructor(gathered: readonly [string, Uint8Array | undefined][]) {
    this.#gathered = gathered;
  }

  /** With the next stored row. */
  next(stored: KeyValue, rows: KeyValue[]): void {
    const id = textOf(stored.key);
    for (let first = this.#gathered[this.#at]; first !== undefined; first = this.#gathered[this.#at]) {
      if (first[0] > id) break;
      this.#put(rows);
      if (first[0] === id) return;
    }
    rows.push(stored);
  }

  /** When there are no more stored ones. */
  rest(rows: KeyValue[]): void {
    while (this.#at < this.#gathered.length) this.#put(rows);
  }

  #put(rows: KeyValue[]): void {
    const [id, value] = this.#gathered[this.#at++] as [string, Uint8Array | undefined];
    if (value !== undefined) rows.push({ key: Buffer.from(id, 'latin1'), value: Buffer.from(value) });
  }
}

function textOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1');
}
