import type { EntryKind } from '@sluice/raft/entry';

/** Where an entry stands in its segment, and what its bytes must be. */
export interface Row {
  index: number;
  term: number;
  /** Of the data's first byte in the segment file. */
  position: number;
  dataBytes: number;
  dataCrc: number;
  chain: number;
  kind: EntryKind;
}

export const ROW_BYTES = 33;
const CAPACITY_MIN = 16;

/**
 * The entries of one group in one segment: unique by index, ascending, as parallel columns in one piece of memory, so
 * that a sidecar holds exactly these bytes and loading one decodes nothing.
 */
export class RowColumns {
  #indexes: Float64Array;
  #terms: Float64Array;
  #positions: Uint32Array;
  #sizes: Uint32Array;
  #dataCrcs: Uint32Array;
  #chains: Uint32Array;
  #kinds: Uint8Array;
  #length: number;

  constructor(capacity = CAPACITY_MIN) {
    this.#indexes = new Float64Array(capacity);
    this.#terms = new Float64Array(capacity);
    this.#positions = new Uint32Array(capacity);
    this.#sizes = new Uint32Array(capacity);
    this.#dataCrcs = new Uint32Array(capacity);
    this.#chains = new Uint32Array(capacity);
    this.#kinds = new Uint8Array(capacity);
    this.#length = 0;
  }

  /** Views `bytes`, which must start at the start of its memory and not change. */
  static from(bytes: Uint8Array): RowColumns {
    const length = bytes.length / ROW_BYTES;
    const rows = new RowColumns(0);
    const memory = bytes.buffer;
    rows.#indexes = new Float64Array(memory, 0, length);
    rows.#terms = new Float64Array(memory, length * 8, length);
    rows.#positions = new Uint32Array(memory, length * 16, length);
    rows.#sizes = new Uint32Array(memory, length * 20, length);
    rows.#dataCrcs = new Uint32Array(memory, length * 24, length);
    rows.#chains = new Uint32Array(memory, length * 28, length);
    rows.#kinds = new Uint8Array(memory, length * 32, length);
    rows.#length = length;
    return rows;
  }

  /** The columns in the order `from` expects them; views, not copies. */
  pieces(): Uint8Array[] {
    return [
      bytesOf(this.#indexes, this.#length * 8),
      bytesOf(this.#terms, this.#length * 8),
      bytesOf(this.#positions, this.#length * 4),
      bytesOf(this.#sizes, this.#length * 4),
      bytesOf(this.#dataCrcs, this.#length * 4),
      bytesOf(this.#chains, this.#length * 4),
      bytesOf(this.#kinds, this.#length),
    ];
  }

  get length(): number {
    return this.#length;
  }
  get memoryBytes(): number {
    return this.#kinds.length * ROW_BYTES;
  }

  indexAt(at: number): number {
    return this.#indexes[at] as number;
  }
  termAt(at: number): number {
    return this.#terms[at] as number;
  }
  positionAt(at: number): number {
    return this.#positions[at] as number;
  }
  dataBytesAt(at: number): number {
    return this.#sizes[at] as number;
  }
  dataCrcAt(at: number): number {
    return this.#dataCrcs[at] as number;
  }
  chainAt(at: number): number {
    return this.#chains[at] as number;
  }
  kindAt(at: number): EntryKind {
    return this.#kinds[at] as EntryKind;
  }

  /** Place of the first row with this index or a higher one. */
  lowerBound(index: number): number {
    let low = 0;
    let high = this.#length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#indexes[middle] as number) < index) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Place of the row of this index, or -1. */
  find(index: number): number {
    const at = this.lowerBound(index);
    return at < this.#length && this.#indexes[at] === index ? at : -1;
  }

  /** Adds a row, nearly always the highest; one of the same index is replaced. */
  set(
    index: number,
    term: number,
    position: number,
    dataBytes: number,
    dataCrc: number,
    chain: number,
    kind: EntryKind,
  ): void {
    let at = this.#length;
    if (at > 0 && (this.#indexes[at - 1] as number) >= index) {
      at = this.lowerBound(index);
      if (this.#indexes[at] !== index) this.#open(at);
    } else this.#open(at);
    this.#indexes[at] = index;
    this.#terms[at] = term;
    this.#positions[at] = position;
    this.#sizes[at] = dataBytes;
    this.#dataCrcs[at] = dataCrc;
    this.#chains[at] = chain;
    this.#kinds[at] = kind;
  }

  /** Removes the rows from this index on. */
  cutFrom(index: number): void {
    this.#length = this.lowerBound(index);
  }

  #open(at: number): void {
    if (this.#length === this.#kinds.length) this.#grow(Math.max(CAPACITY_MIN, this.#length * 2));
    if (at < this.#length) {
      for (const column of this.#columns()) column.copyWithin(at + 1, at, this.#length);
    }
    this.#length++;
  }

  #columns(): (Float64Array | Uint32Array | Uint8Array)[] {
    return [this.#indexes, this.#terms, this.#positions, this.#sizes, this.#dataCrcs, this.#chains, this.#kinds];
  }

  #grow(capacity: number): void {
    const old = this.#columns();
    this.#indexes = new Float64Array(capacity);
    this.#terms = new Float64Array(capacity);
    this.#positions = new Uint32Array(capacity);
    this.#sizes = new Uint32Array(capacity);
    this.#dataCrcs = new Uint32Array(capacity);
    this.#chains = new Uint32Array(capacity);
    this.#kinds = new Uint8Array(capacity);
    const grown = this.#columns();
    for (let i = 0; i < old.length; i++) grown[i]?.set(old[i] as Uint8Array);
  }
}

function bytesOf(column: Float64Array | Uint32Array | Uint8Array, sizeBytes: number): Uint8Array {
  return new Uint8Array(column.buffer, column.byteOffset, sizeBytes);
}

/** All rows of one segment, by group. */
export type SegmentRows = Map<number, RowColumns>;

export function rowsOf(rows: SegmentRows, groupId: number): RowColumns {
  let columns = rows.get(groupId);
  if (columns === undefined) {
    columns = new RowColumns();
    rows.set(groupId, columns);
  }
  return columns;
}
