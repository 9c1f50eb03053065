import { assert } from '@sluice/common/assert';
import type { Engine, KeyValueWrite } from '@sluice/storage/engine';
import { groupKey } from '../disk/keyspace.ts';
import type { NamedRow, RowAccess } from '../group-machine.ts';
import type { RowCache } from './row-cache.ts';

/**
 * The rows of one batch of entries over all groups of a node: fetched together before, from the cache what it has, and
 * written together after. A read of a row that was not fetched is a bug in the machine's `neededRows` and must not look
 * like "no such row".
 */
export class RowBatch {
  readonly #cache: RowCache;
  readonly #rows = new Map<string, Row>();
  #written: Row[] = [];

  constructor(cache: RowCache) {
    this.#cache = cache;
  }

  /** The row if it is here now; what the cache knows is taken from there. */
  bring(id: string): Row | undefined {
    const known = this.#rows.get(id);
    if (known !== undefined) return known;
    const value = this.#cache.get(id);
    if (value === undefined && !this.#cache.isGone(id)) return undefined;
    const row = new Row(id, value);
    this.#rows.set(id, row);
    return row;
  }

  fetched(id: string, value: Uint8Array | undefined): void {
    if (!this.#rows.has(id)) this.#rows.set(id, new Row(id, value));
  }

  view(groupId: number): GroupRows {
    return new GroupRows(this, groupId);
  }

  get(groupId: number, key: Uint8Array): Row {
    const row = this.#rows.get(rowId(groupId, key));
    assert(row !== undefined, 'a machine reads only rows it asked for beforehand');
    return row;
  }

  /** No row ever had this key, so there is nothing to look for. */
  create(groupId: number, key: Uint8Array, value: Uint8Array): void {
    const row = new Row(rowId(groupId, key), value);
    row.isNew = true;
    row.isWritten = true;
    this.#rows.set(row.id, row);
    this.#written.push(row);
  }

  /** Nobody reads it: it is written and known nowhere. */
  save(groupId: number, key: Uint8Array, value: Uint8Array | undefined, named: NamedRow | undefined): void {
    const id = named?.rowName ?? rowId(groupId, key);
    if (named !== undefined) named.rowName = id;
    const row = new Row(id, value);
    row.isSaved = true;
    this.#written.push(row);
  }

  /** A row of the host's own, in whose group no machine has any. */
  note(id: string, value: Uint8Array): void {
    const row = new Row(id, value);
    row.isSaved = true;
    this.#written.push(row);
  }

  /** The row of this key, whether or not it is known what is in it. */
  rowOf(groupId: number, key: Uint8Array): Row {
    const id = rowId(groupId, key);
    let row = this.#rows.get(id);
    if (row === undefined) {
      row = new Row(id, undefined);
      this.#rows.set(id, row);
    }
    return row;
  }

  set(row: Row, value: Uint8Array | undefined): void {
    row.value = value;
    if (row.isWritten) return;
    row.isWritten = true;
    this.#written.push(row);
  }

  /** Forgets what a group wrote in this batch. */
  discard(groupId: number): void {
    this.#written = this.#written.filter(({ id }) => ((id.charCodeAt(0) << 8) | id.charCodeAt(1)) !== groupId);
  }

  /** What the engine is to write, in the order of first change; the cache has it from now on. */
  writes(): KeyValueWrite[] {
    for (let i = 0; i < this.#written.length; i++) {
      const { id, value, isNew, isEnded, isSaved } = this.#written[i] as Row;
      if (isSaved) continue;
      if (isEnded) this.#cache.drop(id);
      else if (value === undefined) this.#cache.delete(id);
      else if (isNew) this.#cache.add(id, value);
      else this.#cache.set(id, value);
    }
    return this.#written;
  }
}

const NOWHERE = -1;

/** Bytes of the key are made for who asks: a row that is gathered and written again soon is known by its name alone. */
class Row implements KeyValueWrite {
  readonly id: string;
  value: Uint8Array | undefined;
  /** Among the wanted ones of its group. */
  place = NOWHERE;
  isNew = false;
  isEnded = false;
  isSaved = false;
  isWritten = false;

  constructor(id: string, value: Uint8Array | undefined) {
    this.id = id;
    this.value = value;
  }

  get key(): Uint8Array {
    return Buffer.from(this.id, 'latin1');
  }
}

/** Keys wanted of several groups, for one `getMany`. */
export class FetchList {
  #keys: Uint8Array[] = [];
  #ids: string[] = [];
  readonly #wanted = new Set<string>();

  get size(): number {
    return this.#keys.length;
  }

  add(batch: RowBatch, rows: GroupRows, key: Uint8Array): void {
    const id = rowId(rows.groupId, key);
    const row = batch.bring(id);
    if (row !== undefined) rows.expect(row);
    if (row !== undefined || this.#wanted.has(id)) return;
    this.#wanted.add(id);
    this.#keys.push(groupKey(rows.groupId, key));
    this.#ids.push(id);
  }

  /** When it throws, the list is as before and may be run again. */
  async run(engine: Engine, batch: RowBatch): Promise<void> {
    if (this.#keys.length === 0) return;
    const keys = this.#keys;
    const ids = this.#ids;
    const values = await engine.getMany(keys);
    this.#keys = [];
    this.#ids = [];
    this.#wanted.clear();
    for (let i = 0; i < keys.length; i++) batch.fetched(ids[i] as string, values[i]);
  }
}

/**
 * The rows of one group. A machine reads rows in the order in which it wanted them, and writes what it has just read: so
 * a row is looked for at the place where it is expected, and only otherwise by a name that would have to be made for it.
 */
export class GroupRows implements RowAccess {
  readonly groupId: number;
  readonly #batch: RowBatch;
  /** In the order in which they were wanted; those that exist. */
  readonly #expected: Row[] = [];
  #next = 0;
  /** Read last. */
  #last: Row | undefined;

  constructor(batch: RowBatch, groupId: number) {
    this.#batch = batch;
    this.groupId = groupId;
  }

  /** It is wanted. One that is not there may be created, as another object. */
  expect(row: Row): void {
    if (row.value === undefined) return;
    row.place = this.#expected.push(row) - 1;
  }

  /** They are read from the first one on again. */
  rewind(): void {
    this.#next = 0;
  }

  get(key: Uint8Array): Uint8Array | undefined {
    let row = this.#expected[this.#next];
    if (row !== undefined && isNamed(row.id, key)) this.#next++;
    else {
      row = this.#batch.get(this.groupId, key);
      if (row.place === NOWHERE) return row.value;
      this.#next = row.place + 1;
    }
    this.#last = row;
    return row.value;
  }
  put(key: Uint8Array, value: Uint8Array): void {
    this.#batch.set(this.#rowOf(key), value);
  }
  create(key: Uint8Array, value: Uint8Array): void {
    this.#batch.create(this.groupId, key, value);
  }
  save(key: Uint8Array, value: Uint8Array | undefined, named?: NamedRow): void {
    this.#batch.save(this.groupId, key, value, named);
  }
  delete(key: Uint8Array): void {
    this.#batch.set(this.#rowOf(key), undefined);
  }
  /** Its key does not come again: nobody looks for it where it was. */
  end(key: Uint8Array): void {
    const row = this.#rowOf(key);
    this.#batch.set(row, undefined);
    row.isEnded = true;
  }

  #rowOf(key: Uint8Array): Row {
    const last = this.#last;
    return last !== undefined && isNamed(last.id, key) ? last : this.#batch.rowOf(this.groupId, key);
  }
}

/** Of a row of the same group. From the end: that is where rows of one table differ. */
function isNamed(id: string, key: Uint8Array): boolean {
  if (id.length !== key.length + 2) return false;
  for (let i = key.length - 1; i >= 0; i--) if (id.charCodeAt(i + 2) !== key[i]) return false;
  return true;
}

/** The name of a row whose full key this is. */
export function nameOf(fullKey: Uint8Array): string {
  return Buffer.from(fullKey).toString('latin1');
}

/** Longer keys are those of last-value queues whose publishers choose them. */
const SCRATCH_BYTES = 256;
const scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);

/**
 * A row's full key as a string of the same length: the cheapest exact map key. It is asked for several times a row and
 * turn, and the key itself once: so it is made in bytes that are there, without a buffer of its own. The usual keys, a
 * table and one number or two, are made without leaving JavaScript, at a third of the time.
 */
export function rowId(groupId: number, key: Uint8Array): string {
  const { length: keyLength } = key;
  if (keyLength === 9) return idOfNumber(groupId, key);
  if (keyLength === 17) return idOfNumbers(groupId, key);
  const length = keyLength + 2;
  if (length > SCRATCH_BYTES) return groupKey(groupId, key).toString('latin1');
  scratch[0] = groupId >>> 8;
  scratch[1] = groupId & 0xff;
  for (let i = 2; i < length; i++) scratch[i] = key[i - 2] as number;
  return scratch.toString('latin1', 0, length);
}

function idOfNumber(groupId: number, k: Uint8Array): string {
  return String.fromCharCode(
    groupId >>> 8,
    groupId & 0xff,
    k[0] as number,
    k[1] as number,
    k[2] as number,
    k[3] as number,
    k[4] as number,
    k[5] as number,
    k[6] as number,
    k[7] as number,
    k[8] as number,
  );
}

function idOfNumbers(groupId: number, k: Uint8Array): string {
  return String.fromCharCode(
    groupId >>> 8,
    groupId & 0xff,
    k[0] as number,
    k[1] as number,
    k[2] as number,
    k[3] as number,
    k[4] as number,
    k[5] as number,
    k[6] as number,
    k[7] as number,
    k[8] as number,
    k[9] as number,
    k[10] as number,
    k[11] as number,
    k[12] as number,
    k[13] as number,
    k[14] as number,
    k[15] as number,
    k[16] as number,
  );
}
