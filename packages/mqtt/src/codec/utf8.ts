import { SluiceError } from '@sluice/common/errors';

/**
 * UTF-8 encoded strings, MQTT 5 section 1.5.4. `Buffer.toString` replaces what is wrong by U+FFFD, so a broker that
 * trusts it passes on other bytes than it was sent, or kills its subscribers (which check). Here malformed sequences,
 * overlong forms, surrogates and U+0000 are refused [MQTT-1.5.4-1] [MQTT-1.5.4-2]; a byte order mark stays
 * [MQTT-1.5.4-3]; control characters and non-characters are allowed.
 *
 * @hotpath
 */

/** What Buffer offers beside its documented methods: the same work without parsing arguments. */
export interface TextBytes extends Buffer {
  latin1Slice(start: number, end: number): string;
  utf8Slice(start: number, end: number): string;
  utf8Write(value: string, at: number, lengthMax?: number): number;
}

const STRING_BYTES_MAX = 0xffff;

/** Strings up to this length are written by a loop, longer ones by a call into the runtime. Measured, not critical. */
const LOOP_WRITE_CHARS_MAX = 48;

/** Undefined when the bytes are not a string MQTT allows. */
export function decodeUtf8(bytes: TextBytes, start: number, end: number): string | undefined {
  if (start === end) return '';
  let bits = 0;
  for (let at = start; at < end; at++) {
    const byte = bytes[at] as number;
    if (byte === 0) return undefined;
    bits |= byte;
  }
  if (bits < 0x80) return bytes.latin1Slice(start, end);
  return isStrictUtf8(bytes, start, end) ? bytes.utf8Slice(start, end) : undefined;
}

/** Well-formed as Unicode chapter 3, table 3-7 has it, and without U+0000. */
function isStrictUtf8(bytes: Uint8Array, start: number, end: number): boolean {
  let at = start;
  while (at < end) {
    const lead = bytes[at++] as number;
    if (lead < 0x80) {
      if (lead === 0) return false;
      continue;
    }
    let more: number;
    // The second byte's range is what rules out overlong forms, surrogates and what lies above U+10FFFF.
    let low = 0x80;
    let high = 0xbf;
    if (lead >= 0xc2 && lead <= 0xdf) more = 1;
    else if (lead >= 0xe0 && lead <= 0xef) {
      more = 2;
      if (lead === 0xe0) low = 0xa0;
      else if (lead === 0xed) high = 0x9f;
    } else if (lead >= 0xf0 && lead <= 0xf4) {
      more = 3;
      if (lead === 0xf0) low = 0x90;
      else if (lead === 0xf4) high = 0x8f;
    } else return false;
    if (at + more > end) return false;
    const second = bytes[at] as number;
    if (second < low || second > high) return false;
    for (let i = 1; i < more; i++) if (((bytes[at + i] as number) & 0xc0) !== 0x80) return false;
    at += more;
  }
  return true;
}

/** The encoded size with its two-byte length. Throws `MQTT_STRING_TOO_LONG` above 65,535 bytes. */
export function utf8Size(value: string): number {
  const length = value.length;
  let size = length;
  for (let i = 0; i < length; i++) {
    if (value.charCodeAt(i) >= 0x80) {
      size = Buffer.byteLength(value);
      break;
    }
  }
  if (size > STRING_BYTES_MAX) throw tooLong(size);
  return size + 2;
}

/** Writes length and bytes; returns the offset behind them. The room was measured by `utf8Size`. */
export function writeUtf8(bytes: TextBytes, at: number, value: string): number {
  const length = value.length;
  const start = at + 2;
  let written = 0;
  if (length <= LOOP_WRITE_CHARS_MAX) {
    while (written < length) {
      const code = value.charCodeAt(written);
      if (code >= 0x80) break;
      bytes[start + written++] = code;
    }
  }
  if (written < length) written = bytes.utf8Write(value, start);
  bytes[at] = written >>> 8;
  bytes[at + 1] = written & 0xff;
  return start + written;
}

/** Binary data, MQTT 5 section 1.5.6: the encoded size with its two-byte length. */
export function binarySize(value: Uint8Array): number {
  if (value.length > STRING_BYTES_MAX) throw tooLong(value.length);
  return value.length + 2;
}

export function writeBinary(bytes: Uint8Array, at: number, value: Uint8Array): number {
  bytes[at] = value.length >>> 8;
  bytes[at + 1] = value.length & 0xff;
  bytes.set(value, at + 2);
  return at + 2 + value.length;
}

function tooLong(sizeBytes: number): SluiceError {
  return new SluiceError('MQTT_STRING_TOO_LONG', `a string or binary field of ${sizeBytes} bytes does not fit MQTT`, {
    hint: `Fields other than the payload hold at most ${STRING_BYTES_MAX} bytes.`,
  });
}
