import { varintBytes, writeVarint } from '../../record/byte-cursor.ts';
import { INDEX_ROW_VERSION, type IndexRow, IndexRowFlag } from './index-row.ts';

/** Records, of a builder that waits for the next batch. */
const KEPT_MAX = 64;

/**
 * The index row of a batch while it is applied. Records are added one by one; a last-value queue may supersede one of
 * the same batch again. Reused from batch to batch. @hotpath
 */
export class IndexRowBuilder {
  base = 0;
  /** Rows of earlier batches whose records this batch supersedes, by base; written back when the batch is done. */
  readonly older = new Map<number, IndexRow>();
  /** Added since the reset; what lies behind in the arrays is of earlier batches. */
  count = 0;
  readonly #sizes: number[] = [];
  /** Absolute; 0 for never. */
  readonly #expiries: number[] = [];
  readonly #keys: (Uint8Array | undefined)[] = [];
  readonly #rejected: number[] = [];
  readonly #settled: number[] = [];
  #hasKeys = false;
  #hasExpiries = false;

  reset(base: number): void {
    this.base = base;
    this.count = 0;
    if (this.older.size > 0) this.older.clear();
    // An array that is cut to nothing gives its memory away: short ones are kept. Keys are views that would keep whole batches.
    if (this.#sizes.length > KEPT_MAX) {
      this.#sizes.length = 0;
      this.#expiries.length = 0;
    }
    if (this.#hasKeys) this.#keys.length = 0;
    if (this.#rejected.length > 0) this.#rejected.length = 0;
    if (this.#settled.length > 0) this.#settled.length = 0;
    this.#hasKeys = false;
    this.#hasExpiries = false;
  }

  /** Of those added, the ones that this same batch has not ended again. */
  get liveCount(): number {
    return this.count - this.#settled.length;
  }

  add(sizeBytes: number, expiresAtMs: number, key: Uint8Array | undefined): void {
    const at = this.count++;
    this.#sizes[at] = sizeBytes;
    this.#expiries[at] = expiresAtMs;
    if (key !== undefined) this.#hasKeys = true;
    if (this.#hasKeys) this.#keys[at] = key;
    if (expiresAtMs !== 0) this.#hasExpiries = true;
  }

  reject(slot: number): void {
    this.#rejected.push(slot);
  }

  sizeBytesOf(offset: number): number {
    return this.#sizes[offset - this.base] as number;
  }

  settle(offset: number): void {
    this.#settled.push(offset - this.base);
  }

  /** `entryBytes` is 0 when other rows share the entry. */
  encode(entryIndex: number, appendedAtMs: number, entryBytes: number): Uint8Array {
    const { count } = this;
    let flags = entryBytes === 0 ? IndexRowFlag.SHARED : 0;
    let bytes = 2 + varintBytes(entryIndex) + varintBytes(appendedAtMs) + varintBytes(count);
    if (entryBytes !== 0) bytes += varintBytes(entryBytes);
    for (let i = 0; i < count; i++) bytes += varintBytes(this.#sizes[i] as number);
    if (this.#hasExpiries) {
      flags |= IndexRowFlag.EXPIRIES;
      for (let i = 0; i < count; i++) bytes += varintBytes(this.#expiryAfter(i, appendedAtMs));
    }
    if (this.#rejected.length > 0) {
      flags |= IndexRowFlag.REJECTED;
      bytes += varintBytes(this.#rejected.length);
      for (let i = 0; i < this.#rejected.length; i++) bytes += varintBytes(this.#rejectedDistance(i));
    }
    let keysBytes = 0;
    if (this.#hasKeys) {
      flags |= IndexRowFlag.KEYS;
      for (let i = 0; i < count; i++) {
        const key = this.#keys[i];
        keysBytes += key === undefined ? 1 : varintBytes(key.length + 1) + key.length;
      }
      bytes += varintBytes(keysBytes) + keysBytes;
    }
    const bitmapBytes = this.#settled.length > 0 ? (count + 7) >>> 3 : 0;
    if (bitmapBytes > 0) flags |= IndexRowFlag.SETTLED;

    const value = new Uint8Array(bytes + bitmapBytes);
    value[0] = INDEX_ROW_VERSION;
    value[1] = flags;
    let at = writeVarint(value, 2, entryIndex);
    at = writeVarint(value, at, appendedAtMs);
    at = writeVarint(value, at, count);
    if (entryBytes !== 0) at = writeVarint(value, at, entryBytes);
    for (let i = 0; i < count; i++) at = writeVarint(value, at, this.#sizes[i] as number);
    if (this.#hasExpiries) {
      for (let i = 0; i < count; i++) at = writeVarint(value, at, this.#expiryAfter(i, appendedAtMs));
    }
    if (this.#rejected.length > 0) {
      at = writeVarint(value, at, this.#rejected.length);
      for (let i = 0; i < this.#rejected.length; i++) at = writeVarint(value, at, this.#rejectedDistance(i));
    }
    if (this.#hasKeys) at = this.#writeKeys(value, writeVarint(value, at, keysBytes));
    for (let i = 0; i < this.#settled.length; i++) {
      const position = this.#settled[i] as number;
      value[at + (position >>> 3)] = (value[at + (position >>> 3)] as number) | (1 << (position & 7));
    }
    return value;
  }

  #writeKeys(value: Uint8Array, start: number): number {
    let at = start;
    for (let i = 0; i < this.count; i++) {
      const key = this.#keys[i];
      if (key === undefined) {
        value[at++] = 0;
        continue;
      }
      at = writeVarint(value, at, key.length + 1);
      value.set(key, at);
      at += key.length;
    }
    return at;
  }

  #expiryAfter(position: number, appendedAtMs: number): number {
    const expiresAtMs = this.#expiries[position] as number;
    return expiresAtMs === 0 ? 0 : Math.max(0, expiresAtMs - appendedAtMs) + 1;
  }

  #rejectedDistance(i: number): number {
    return (this.#rejected[i] as number) - (i === 0 ? 0 : (this.#rejected[i - 1] as number));
  }
}
