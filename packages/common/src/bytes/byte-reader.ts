import { SluiceError } from '../errors.ts';

/** The mirror of `ByteWriter`. Bytes that end too early or overflow raise `BYTES_MALFORMED`; nothing is read past the end. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at: number;

  constructor(bytes: Uint8Array, at = 0) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#at = at;
  }

  get at(): number {
    return this.#at;
  }
  get remaining(): number {
    return this.#bytes.length - this.#at;
  }

  #take(count: number): number {
    const at = this.#at;
    if (count > this.#bytes.length - at) {
      throw new SluiceError('BYTES_MALFORMED', `needed ${count} bytes at ${at}, only ${this.#bytes.length - at} left`);
    }
    this.#at = at + count;
    return at;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }
  u16(): number {
    return this.#view.getUint16(this.#take(2));
  }
  u32(): number {
    return this.#view.getUint32(this.#take(4));
  }
  u53(): number {
    const at = this.#take(8);
    const high = this.#view.getUint32(at);
    if (high > 0x1f_ffff) throw new SluiceError('BYTES_MALFORMED', `integer at ${at} exceeds 2^53 - 1`);
    return high * 0x1_0000_0000 + this.#view.getUint32(at + 4);
  }
  varint(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 8; i++) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (!Number.isSafeInteger(value)) break;
        return value;
      }
      scale *= 0x80;
    }
    throw new SluiceError('BYTES_MALFORMED', `varint ending at ${this.#at} exceeds 2^53 - 1`);
  }
  /** A view, not a copy. */
  raw(count: number): Uint8Array {
    const at = this.#take(count);
    return this.#bytes.subarray(at, at + count);
  }
  sized(): Uint8Array {
    return this.raw(this.varint());
  }
  text(): string {
    const bytes = this.sized();
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  }
}
