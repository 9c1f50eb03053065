import { SluiceError } from '@sluice/common/errors';

const EMPTY = new Uint8Array(0);

/**
 * Reads formats of this package on the hot path. A reader object and a DataView per record would cost more than the
 * reading, so one cursor is reset over and over. Bytes that end too early, overflow, or encode a number in more bytes
 * than it needs raise `BYTES_MALFORMED`; nothing is read past the end. @hotpath
 */
export class ByteCursor {
  bytes: Uint8Array = EMPTY;
  at = 0;
  end = 0;

  reset(bytes: Uint8Array, at = 0, end = bytes.length): void {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  /** Returns where the skipped bytes begin. */
  skip(count: number): number {
    const at = this.at;
    if (count > this.end - at) throw malformed(`needed ${count} bytes at ${at}, only ${this.end - at} left`);
    this.at = at + count;
    return at;
  }

  u8(): number {
    const at = this.at;
    if (at >= this.end) throw malformed(`needed 1 byte at ${at}, none left`);
    this.at = at + 1;
    return this.bytes[at] as number;
  }

  u16(): number {
    const at = this.skip(2);
    return ((this.bytes[at] as number) << 8) | (this.bytes[at + 1] as number);
  }

  u32(): number {
    return readU32(this.bytes, this.skip(4));
  }

  u53(): number {
    const at = this.skip(8);
    const value = readU53(this.bytes, at);
    if (value > Number.MAX_SAFE_INTEGER) throw malformed(`integer at ${at} exceeds 2^53 - 1`);
    return value;
  }

  varint(): number {
    const first = this.u8();
    if (first < 0x80) return first;
    let value = first & 0x7f;
    let scale = 0x80;
    for (let i = 1; i < 8; i++) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (byte === 0) break;
        return value;
      }
      scale *= 0x80;
    }
    throw malformed(`varint ending at ${this.at} exceeds 2^53 - 1 or is longer than it need be`);
  }

  /** A view, not a copy. */
  raw(count: number): Uint8Array {
    const at = this.skip(count);
    return this.bytes.subarray(at, at + count);
  }

  /** UTF-8 behind a 16-bit length, as MQTT has its strings. */
  text16(): string {
    const length = this.u16();
    const at = this.skip(length);
    return textOf(this.bytes, at, at + length);
  }
}

export function malformed(message: string): SluiceError {
  return new SluiceError('BYTES_MALFORMED', message);
}

export function textOf(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('utf8');
}

export function readU32(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) * 0x100_0000 +
    (((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number))
  );
}

/** Not checked: a high word above 2^21 gives a number that is not a safe integer. */
export function readU53(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at) * 0x1_0000_0000 + readU32(bytes, at + 4);
}

export function writeU32(bytes: Uint8Array, at: number, value: number): number {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
  return at + 4;
}

/** Big-endian, so that byte order is numeric order. Returns where the next byte goes. */
export function writeU53(bytes: Uint8Array, at: number, value: number): number {
  writeU32(bytes, at, Math.floor(value / 0x1_0000_0000));
  return writeU32(bytes, at + 4, value >>> 0);
}

export function varintBytes(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  let count = 4;
  for (let rest = value / 0x1000_0000; rest >= 1; rest /= 0x80) count++;
  return count;
}

/** LEB128. Returns where the next byte goes. */
export function writeVarint(bytes: Uint8Array, at: number, value: number): number {
  let rest = value;
  let to = at;
  while (rest >= 0x80) {
    bytes[to++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  bytes[to] = rest;
  return to + 1;
}
