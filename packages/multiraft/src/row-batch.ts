import { assert } from '@sluice/common/assert';
import type { Engine, KeyValueWrite } from '@sluice/storage/engine';
import type { RowAccess } from './group-machine.ts';
import { groupKey } from './keyspace.ts';
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

  /** Whether the row is here now; what the cache knows is taken from there. */
  bring(id: string): boolean {
    if (this.#rows.has(id)) return true;
    const value = this.#cache.get(id);
    if (value === undefined && !this.#cache.isGone(id)) return false;
    this.#rows.set(id, new Row(id, value));
    return true;
  }

  fetched(id: string, value: Uint8Array | undefined): void {
    if (!this.#rows.has(id)) this.#rows.set(id, new Row(id, value));
  }

  view(groupId: number): RowAccess {
    return new GroupRows(this, groupId);
  }

  get(groupId: number, key: Uint8Array): Uint8Array | undefined {
    const row = this.#rows.get(rowId(groupId, key));
    assert(row !== undefined, 'a machine reads only rows it asked for beforehand');
    return row.value;
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
  save(groupId: number, key: Uint8Array, value: Uint8Array | undefined): void {
    const row = new Row(rowId(groupId, key), value);
    row.isSaved = true;
    this.#written.push(row);
  }

  set(groupId: number, key: Uint8Array, value: Uint8Array | undefined): void {
    this.#write(groupId, key, value);
  }

  /** Its key does not come again: nobody looks for it where it was. */
  end(groupId: number, key: Uint8Array): void {
    this.#write(groupId, key, undefined).isEnded = true;
  }

  #write(groupId: number, key: Uint8Array, value: Uint8Array | undefined): Row {
    const id = rowId(groupId, key);
    let row = this.#rows.get(id);
    if (row === undefined) {
      row = new Row(id, value);
      this.#rows.set(id, row);
    }
    row.value = value;
    if (!row.isWritten) {
      row.isWritten = true;
      this.#written.push(row);
    }
    return row;
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

/** Bytes of the key are made for who asks: a row that is gathered and written again soon is known by its name alone. */
class Row implements KeyValueWrite {
  readonly id: string;
  value: Uint8Array | undefined;
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

  add(batch: RowBatch, groupId: number, key: Uint8Array): void {
    const id = rowId(groupId, key);
    if (batch.bring(id) || this.#wanted.has(id)) return;
    this.#wanted.add(id);
    this.#keys.push(groupKey(groupId, key));
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

class GroupRows implements RowAccess {
  readonly #batch: RowBatch;
  readonly #groupId: number;

  constructor(batch: RowBatch, groupId: number) {
    this.#batch = batch;
    this.#groupId = groupId;
  }
  get(key: Uint8Array): Uint8Array | undefined {
    return this.#batch.get(this.#groupId, key);
  }
  put(key: Uint8Array, value: Uint8Array): void {
    this.#batch.set(this.#groupId, key, value);
  }
  create(key: Uint8Array, value: Uint8Array): void {
    this.#batch.create(this.#groupId, key, value);
  }
  save(key: Uint8Array, value: Uint8Array | undefined): void {
    this.#batch.save(this.#groupId, key, value);
  }
  delete(key: Uint8Array): void {
    this.#batch.set(this.#groupId, key, undefined);
  }
  end(key: Uint8Array): void {
    this.#batch.end(this.#groupId, key);
  }
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
