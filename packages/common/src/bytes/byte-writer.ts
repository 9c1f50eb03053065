import { assert } from '../assert.ts';

/** Byte by byte below it: a call out of JavaScript costs more than so many of them. */
const SHORT_BYTES = 128;

/** Grows by doubling; integers are big-endian; lengths and counts are LEB128 varints. Not for the socket hot path. */
export class ByteWriter {
  #bytes: Uint8Array;
  #view: DataView;
  #length = 0;

  constructor(capacityBytes = 256) {
    this.#bytes = new Uint8Array(capacityBytes);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** Empty again, its memory kept. */
  restart(): this {
    this.#length = 0;
    return this;
  }

  get length(): number {
    return this.#length;
  }

  /** May replace bytes and view: name them only after it has returned. */
  #reserve(count: number): number {
    const at = this.#length;
    const need = at + count;
    if (need > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(need, this.#bytes.length * 2));
      grown.set(this.#bytes.subarray(0, at));
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    this.#length = need;
    return at;
  }

  u8(value: number): this {
    const at = this.#reserve(1);
    this.#view.setUint8(at, value);
    return this;
  }
  u16(value: number): this {
    const at = this.#reserve(2);
    this.#view.setUint16(at, value);
    return this;
  }
  u32(value: number): this {
    const at = this.#reserve(4);
    this.#view.setUint32(at, value);
    return this;
  }
  /** A safe integer from 0 to 2^53 - 1 in 8 bytes; byte order equals numeric order, so it may end a key. */
  u53(value: number): this {
    assert(Number.isSafeInteger(value) && value >= 0, 'u53 holds non-negative safe integers');
    const at = this.#reserve(8);
    this.#view.setUint32(at, Math.floor(value / 0x1_0000_0000));
    this.#view.setUint32(at + 4, value >>> 0);
    return this;
  }
  varint(value: number): this {
    assert(Number.isSafeInteger(value) && value >= 0, 'a varint holds non-negative safe integers');
    let rest = value;
    while (rest >= 0x80) {
      this.u8((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    return this.u8(rest);
  }
  raw(bytes: Uint8Array): this {
    const at = this.#reserve(bytes.length);
    this.#bytes.set(bytes, at);
    return this;
  }
  /** Varint length, then the bytes. */
  sized(bytes: Uint8Array): this {
    return this.varint(bytes.length).raw(bytes);
  }
  /** Varint length, then UTF-8. */
  text(value: string): this {
    const before = this.#length;
    const { length } = value;
    if (length > SHORT_BYTES) return this.sized(Buffer.from(value, 'utf8'));
    this.varint(length);
    const at = this.#reserve(length);
    for (let i = 0; i < length; i++) {
      const code = value.charCodeAt(i);
      if (code > 0x7f) {
        this.#length = before;
        return this.sized(Buffer.from(value, 'utf8'));
      }
      this.#bytes[at + i] = code;
    }
    return this;
  }

  /** A copy, independent of this writer. */
  finish(): Uint8Array {
    const length = this.#length;
    if (length > SHORT_BYTES) return this.#bytes.slice(0, length);
    const copy = new Uint8Array(length);
    for (let i = 0; i < length; i++) copy[i] = this.#bytes[i] as number;
    return copy;
  }
}
