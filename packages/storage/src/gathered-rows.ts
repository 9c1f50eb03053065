import type { KeyValue, KeyValueWrite } from './engine.ts';

/**
 * Rows of several writes, the last value of each; undefined: deleted. Keys are kept as latin1, which compares as bytes do.
 * They lie by the first bytes of their keys, which for those who use the engine are a group and a table: a scan goes
 * through those of its tables, and not through all that waits.
 */
export class GatheredRows {
  readonly #tables = new Map<number, Map<string, KeyValueWrite>>();
  size = 0;
  bytes = 0;

  /** Keeps rows that have a name, and copies others. A row that was nowhere before and is deleted leaves nothing to be written. */
  add(batch: readonly KeyValueWrite[]): void {
    for (let i = 0; i < batch.length; i++) {
      const row = batch[i] as KeyValueWrite;
      const id = row.id ?? textOf(row.key);
      const table = this.#tableOf(id);
      // What is new is nowhere.
      const before = row.isNew === true && row.value !== undefined ? undefined : table.get(id);
      const isNew = row.isNew === true || before?.isNew === true;
      if (row.value === undefined && isNew) {
        if (before !== undefined) this.#drop(table, id, before);
        continue;
      }
      const kept = row.id === undefined ? copyOf(id, row) : row;
      if (before === undefined) {
        kept.isNew = isNew;
        this.#put(table, id, kept, undefined);
        continue;
      }
      // Its place is known: most rows are written again, and looking for a place costs more than the rest.
      this.bytes += (kept.value?.length ?? 0) - (before.value?.length ?? 0);
      before.value = kept.value;
      before.isNew = isNew;
    }
  }

  #tableOf(id: string): Map<string, KeyValueWrite> {
    const prefix = prefixOf(id);
    let table = this.#tables.get(prefix);
    if (table === undefined) {
      table = new Map();
      this.#tables.set(prefix, table);
    }
    return table;
  }

  #put(table: Map<string, KeyValueWrite>, id: string, row: KeyValueWrite, before: KeyValueWrite | undefined): void {
    this.bytes += (row.value?.length ?? 0) - (before?.value?.length ?? 0);
    if (before === undefined) {
      this.bytes += id.length;
      this.size++;
    }
    table.set(id, row);
  }

  #drop(table: Map<string, KeyValueWrite>, id: string, row: KeyValueWrite): void {
    table.delete(id);
    this.bytes -= id.length + (row.value?.length ?? 0);
    this.size--;
  }

  /** Newer ones. What the engine has taken of these is not known. */
  addAll(newer: GatheredRows): void {
    for (const table of newer.#tables.values()) {
      for (const [id, row] of table) {
        const mine = this.#tableOf(id);
        this.#put(mine, id, row, mine.get(id));
      }
    }
    for (const table of this.#tables.values()) for (const row of table.values()) row.isNew = false;
  }

  has(key: Uint8Array): boolean {
    const id = textOf(key);
    return this.#tables.get(prefixOf(id))?.has(id) === true;
  }

  /** A copy. */
  get(key: Uint8Array): Uint8Array | undefined {
    const id = textOf(key);
    const value = this.#tables.get(prefixOf(id))?.get(id)?.value;
    return value === undefined ? undefined : Buffer.from(value);
  }

  writes(): KeyValueWrite[] {
    const writes: KeyValueWrite[] = [];
    for (const table of this.#tables.values()) for (const row of table.values()) writes.push(row);
    return writes;
  }

  /**
   * Those of [from, to), with these values, whatever is added from now on; of `older` what is not written again here.
   * Nothing is copied: of a long queue the rows that were written last lie far behind what is asked for.
   */
  range(from: Uint8Array, to: Uint8Array, older: GatheredRows | undefined): RowMerge {
    const [first, end] = [textOf(from), textOf(to)];
    const rows: GatheredRow[] = [];
    if (older !== undefined) older.#collect(first, end, this.#tables, rows);
    this.#collect(first, end, undefined, rows);
    return new RowMerge(rows);
  }

  #collect(first: string, end: string, newer: Tables | undefined, rows: GatheredRow[]): void {
    const [firstPrefix, endPrefix] = [prefixOf(first), prefixOf(end)];
    for (const [prefix, table] of this.#tables) {
      if (prefix < firstPrefix || prefix > endPrefix) continue;
      const over = newer?.get(prefix);
      for (const [id, { value }] of table) {
        if (id >= first && id < end && over?.has(id) !== true) rows.push({ id, value });
      }
    }
  }
}

type Tables = ReadonlyMap<number, ReadonlyMap<string, KeyValueWrite>>;

interface GatheredRow {
  id: string;
  value: Uint8Array | undefined;
}

/** Puts gathered rows in place of, between and behind those that are stored, in their order. */
export class RowMerge {
  readonly #gathered: readonly GatheredRow[];
  readonly deletions: number;
  #at = 0;

  constructor(rows: GatheredRow[]) {
    let deletions = 0;
    let isAscending = true;
    for (let i = 0; i < rows.length; i++) {
      const { id, value } = rows[i] as GatheredRow;
      if (value === undefined) deletions++;
      if (i > 0 && (rows[i - 1] as GatheredRow).id > id) isAscending = false;
    }
    this.#gathered = isAscending ? rows : rows.sort((a, b) => (a.id < b.id ? -1 : 1));
    this.deletions = deletions;
  }

  get size(): number {
    return this.#gathered.length;
  }

  /** With the next stored row. No more than `limit` in all. */
  next(stored: KeyValue, rows: KeyValue[], limit: number): void {
    const id = textOf(stored.key);
    for (let first = this.#gathered[this.#at]; first !== undefined; first = this.#gathered[this.#at]) {
      if (first.id > id || rows.length >= limit) break;
      this.#put(first, rows);
      if (first.id === id) return;
    }
    if (rows.length < limit) rows.push(stored);
  }

  /** When there are no more stored ones. No more than `limit` in all. */
  rest(rows: KeyValue[], limit: number): void {
    for (let first = this.#gathered[this.#at]; first !== undefined; first = this.#gathered[this.#at]) {
      if (rows.length >= limit) return;
      this.#put(first, rows);
    }
  }

  #put({ id, value }: GatheredRow, rows: KeyValue[]): void {
    this.#at++;
    if (value !== undefined) rows.push({ key: Buffer.from(id, 'latin1'), value: Buffer.from(value) });
  }
}

function textOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1');
}

function copyOf(id: string, { value }: KeyValueWrite): KeyValueWrite {
  return { key: Buffer.from(id, 'latin1'), value: value === undefined ? undefined : Buffer.from(value), isNew: false };
}

/** Ascends with the keys, also with those that are shorter. */
function prefixOf(id: string): number {
  return (id.charCodeAt(0) << 16) | (id.charCodeAt(1) << 8) | id.charCodeAt(2);
}
