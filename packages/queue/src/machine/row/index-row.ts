import { assert } from '@sluice/common/assert';
import { SluiceError } from '@sluice/common/errors';
import { ByteCursor, malformed, varintBytes, writeVarint } from '../../record/byte-cursor.ts';

/**
 * The index row: what a queue keeps of the records it took from one entry. It is rewritten whenever some of them are
 * settled, so the part that never changes comes first and is copied as it is; the part that does is short.
 *
 *   u8 version, u8 flags, varint entry index, varint appended at (ms), varint count,
 *   [varint entry bytes: absent when other rows share the entry],
 *   count varint sizes, [count varint expiries: ms after the append + 1, 0 for never],
 *   [rejected slots: varint count, varint distances], [keys: varint length, then a varint key length + 1 (0: none) and
 *   key a record],
 *   then, once something happened to it: [settled bitmap], [delivery counts: varint count, (varint distance, varint)]
 *
 * What is live, and how large, follows from sizes and bitmap; it is computed and not stored, so it cannot disagree.
 */
export const INDEX_ROW_VERSION = 1;
export const IndexRowFlag = { EXPIRIES: 1, REJECTED: 2, KEYS: 4, SHARED: 8, SETTLED: 16, RETURNED: 32 } as const;
const FLAGS_KNOWN = 63;
const FLAGS_STATIC = 15;

/** A record handed out more often than this is no better known by a larger number. */
export const DELIVERY_COUNT_MAX = 0xffff;

const NONE: readonly number[] = [];
const scratch = new ByteCursor();

/** Whether settling in this row needs rows beyond it: those of its keys, or of the entry it shares. */
export function indexRowFlags(value: Uint8Array): number {
  return value[1] ?? 0;
}

/** Which entry the records of a row are in, without decoding the rest. */
export function entryIndexOfRow(value: Uint8Array): number {
  scratch.reset(value);
  assertVersionKnown(scratch.u8());
  scratch.u8();
  return scratch.varint();
}

/** When the records of a row were appended, without decoding the rest. */
export function appendedAtMsOf(value: Uint8Array): number {
  entryIndexOfRow(value);
  return scratch.varint();
}

function assertVersionKnown(version: number): void {
  if (version === INDEX_ROW_VERSION) return;
  throw new SluiceError('ROW_UNKNOWN', `index row of version ${version}`, {
    hint: 'this node runs an older release than the one that wrote its data: upgrade it',
  });
}

/** A decoded index row. Offsets are the queue's. Changes stay in this object until `encode`. */
export class IndexRow {
  readonly base: number;
  readonly count: number;
  readonly entryIndex: number;
  readonly appendedAtMs: number;
  /** 0 when other rows share the entry: then its entry row knows. */
  readonly entryBytes: number;
  /** Slots of the batch that target the queue but were refused by it, ascending. */
  readonly rejectedSlots: readonly number[];
  liveCount: number;
  liveBytes: number;
  /** Something in it was settled or returned since it was decoded. */
  isChanged = false;
  readonly #value: Uint8Array;
  readonly #flags: number;
  readonly #staticEnd: number;
  readonly #sizes: number[];
  readonly #expiries: number[] | undefined;
  readonly #keysAt: number;
  readonly #keysEnd: number;
  /** Begin and end of each key, twice the count; found when first asked for. */
  #keys: number[] | undefined;
  #settled: Uint8Array | undefined;
  /** Position, count, position, count, … ascending. */
  #returned: number[] | undefined;

  constructor(base: number, value: Uint8Array) {
    const cursor = scratch;
    cursor.reset(value);
    assertVersionKnown(cursor.u8());
    const flags = cursor.u8();
    if (flags > FLAGS_KNOWN) throw malformed(`unknown index row flags ${flags}`);
    this.base = base;
    this.entryIndex = cursor.varint();
    this.appendedAtMs = cursor.varint();
    const count = cursor.varint();
    if (count > cursor.end) throw malformed(`an index row of ${cursor.end} bytes cannot hold ${count} records`);
    this.count = count;
    this.entryBytes = flags & IndexRowFlag.SHARED ? 0 : cursor.varint();
    let liveBytes = 0;
    const sizes = new Array<number>(count);
    for (let i = 0; i < count; i++) {
      const sizeBytes = cursor.varint();
      sizes[i] = sizeBytes;
      liveBytes += sizeBytes;
    }
    this.#sizes = sizes;
    this.#expiries = flags & IndexRowFlag.EXPIRIES ? readMany(cursor, count) : undefined;
    this.rejectedSlots = flags & IndexRowFlag.REJECTED ? readAscending(cursor) : NONE;
    let keysAt = 0;
    let keysEnd = 0;
    if (flags & IndexRowFlag.KEYS) {
      const length = cursor.varint();
      keysAt = cursor.skip(length);
      keysEnd = cursor.at;
    }
    this.#keysAt = keysAt;
    this.#keysEnd = keysEnd;
    this.#keys = undefined;
    this.#value = value;
    this.#flags = flags;
    this.#staticEnd = cursor.at;
    this.liveCount = count;
    this.#settled = undefined;
    if (flags & IndexRowFlag.SETTLED) {
      // Not `slice`: engines hand out buffers, and of a buffer that is a view, into what a cache holds.
      const settled = new Uint8Array(cursor.raw((count + 7) >>> 3));
      this.#settled = settled;
      for (let position = 0; position < count; position++) {
        if (((settled[position >>> 3] as number) & (1 << (position & 7))) === 0) continue;
        this.liveCount--;
        liveBytes -= sizes[position] as number;
      }
    }
    this.liveBytes = liveBytes;
    this.#returned = flags & IndexRowFlag.RETURNED ? readReturned(cursor) : undefined;
    if (cursor.at !== cursor.end) throw malformed(`${cursor.end - cursor.at} bytes after an index row`);
  }

  /** Other queues took records of the same entry. */
  get isShared(): boolean {
    return this.entryBytes === 0;
  }

  get hasKeys(): boolean {
    return this.#keysEnd !== 0;
  }

  /** The first live offset at or behind `fromOffset`, -1 if there is none. */
  nextLive(fromOffset: number): number {
    let position = fromOffset <= this.base ? 0 : fromOffset - this.base;
    const settled = this.#settled;
    if (this.liveCount === 0) return -1;
    if (settled === undefined) return position < this.count ? this.base + position : -1;
    while (position < this.count) {
      const byte = settled[position >>> 3] as number;
      if (byte === 0xff) position = (position | 7) + 1;
      else if ((byte & (1 << (position & 7))) !== 0) position++;
      else return this.base + position;
    }
    return -1;
  }

  isLive(offset: number): boolean {
    const position = offset - this.base;
    if (position < 0 || position >= this.count || this.liveCount === 0) return false;
    return this.#settled === undefined || ((this.#settled[position >>> 3] as number) & (1 << (position & 7))) === 0;
  }

  /** Which of the batch's records for this queue that were not rejected: the `n` of `recordAt`. */
  n(offset: number): number {
    return offset - this.base;
  }

  sizeBytesOf(offset: number): number {
    return this.#sizes[offset - this.base] as number;
  }

  /** How often it was returned: a first delivery counts one more than this. */
  returnCountOf(offset: number): number {
    const returned = this.#returned;
    if (returned === undefined) return 0;
    const at = indexOfPosition(returned, offset - this.base);
    return returned[at] === offset - this.base ? (returned[at + 1] as number) : 0;
  }

  /** 1 before the first delivery was returned. */
  deliveryCountOf(offset: number): number {
    return this.returnCountOf(offset) + 1;
  }

  /** 0 for never; never before the append. */
  expiresAtMsOf(offset: number): number {
    const expiry = this.#expiries === undefined ? 0 : (this.#expiries[offset - this.base] as number);
    return expiry === 0 ? 0 : this.appendedAtMs + expiry - 1;
  }

  /** A view into the row; undefined for a record without one. */
  keyOf(offset: number): Uint8Array | undefined {
    if (this.#keysEnd === 0) return undefined;
    if (this.#keys === undefined) this.#keys = this.#findKeys();
    const from = this.#keys[(offset - this.base) * 2] as number;
    if (from === 0) return undefined;
    return this.#value.subarray(from, this.#keys[(offset - this.base) * 2 + 1]);
  }

  /** The caller knows that it is live. */
  settle(offset: number): void {
    assert(this.isLive(offset), 'a record is settled once');
    const position = offset - this.base;
    this.isChanged = true;
    this.liveCount--;
    this.liveBytes -= this.#sizes[position] as number;
    // The last one ends the row: nobody writes which of them were settled before.
    if (this.liveCount === 0) return;
    if (this.#settled === undefined) this.#settled = new Uint8Array((this.count + 7) >>> 3);
    this.#settled[position >>> 3] = (this.#settled[position >>> 3] as number) | (1 << (position & 7));
    const returned = this.#returned;
    if (returned === undefined) return;
    const at = indexOfPosition(returned, position);
    if (returned[at] === position) returned.splice(at, 2);
  }

  /** Raises the delivery count of a live record. */
  return(offset: number): void {
    assert(this.isLive(offset), 'only a live record is returned');
    const position = offset - this.base;
    this.isChanged = true;
    if (this.#returned === undefined) this.#returned = [];
    const returned = this.#returned;
    const at = indexOfPosition(returned, position);
    if (returned[at] !== position) returned.splice(at, 0, position, 1);
    else if ((returned[at + 1] as number) < DELIVERY_COUNT_MAX) returned[at + 1] = (returned[at + 1] as number) + 1;
  }

  /** Of a row in which something is live; another one is deleted. */
  encode(): Uint8Array {
    assert(this.liveCount > 0, 'a row without live records is not written');
    const settled = this.#settled;
    const returned = this.#returned === undefined || this.#returned.length === 0 ? undefined : this.#returned;
    const bytes = this.#staticEnd + (settled === undefined ? 0 : settled.length) + returnedBytes(returned);
    const value = new Uint8Array(bytes);
    value.set(this.#staticEnd === this.#value.length ? this.#value : this.#value.subarray(0, this.#staticEnd));
    let flags = this.#flags & FLAGS_STATIC;
    let at = this.#staticEnd;
    if (settled !== undefined) {
      flags |= IndexRowFlag.SETTLED;
      value.set(settled, at);
      at += settled.length;
    }
    if (returned !== undefined) {
      flags |= IndexRowFlag.RETURNED;
      at = writeVarint(value, at, returned.length / 2);
      let before = 0;
      for (let i = 0; i < returned.length; i += 2) {
        at = writeVarint(value, at, (returned[i] as number) - before);
        at = writeVarint(value, at, returned[i + 1] as number);
        before = returned[i] as number;
      }
    }
    value[1] = flags;
    return value;
  }

  #findKeys(): number[] {
    const keys: number[] = [];
    scratch.reset(this.#value, this.#keysAt, this.#keysEnd);
    for (let i = 0; i < this.count; i++) {
      const length = scratch.varint() - 1;
      if (length < 0) {
        keys.push(0, 0);
        continue;
      }
      const at = scratch.skip(length);
      keys.push(at, at + length);
    }
    return keys;
  }
}

function readMany(cursor: ByteCursor, count: number): number[] {
  const values: number[] = [];
  for (let i = 0; i < count; i++) values.push(cursor.varint());
  return values;
}

function readAscending(cursor: ByteCursor): number[] {
  const values = readMany(cursor, cursor.varint());
  for (let i = 1; i < values.length; i++) values[i] = (values[i] as number) + (values[i - 1] as number);
  return values;
}

function readReturned(cursor: ByteCursor): number[] {
  const pairs = readMany(cursor, cursor.varint() * 2);
  for (let i = 2; i < pairs.length; i += 2) pairs[i] = (pairs[i] as number) + (pairs[i - 2] as number);
  return pairs;
}

function returnedBytes(returned: readonly number[] | undefined): number {
  if (returned === undefined) return 0;
  let bytes = varintBytes(returned.length / 2);
  let before = 0;
  for (let i = 0; i < returned.length; i += 2) {
    bytes += varintBytes((returned[i] as number) - before) + varintBytes(returned[i + 1] as number);
    before = returned[i] as number;
  }
  return bytes;
}

/** Index into the pairs of the first position that is at least `position`. */
function indexOfPosition(pairs: readonly number[], position: number): number {
  let low = 0;
  let high = pairs.length >>> 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((pairs[middle * 2] as number) < position) low = middle + 1;
    else high = middle;
  }
  return low * 2;
}
