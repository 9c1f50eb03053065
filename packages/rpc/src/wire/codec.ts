import { SluiceError } from '@sluice/common/errors';
import $protobuf from 'protobufjs/minimal.js';
import type { Integer64 } from '../gen/v1-types.ts';

/** Where a message's bytes go; large byte arrays are copied once, when the whole frame is finished. */
export type WireWriter = $protobuf.Writer;

/** One direction of a service: its contract's type as the bytes of one protobuf message, and back. */
export interface Codec<T> {
  write(message: T, writer: WireWriter): void;
  /**
   * Byte arrays in the result are views into `bytes`, plain `Uint8Array`s.
   *
   * @throws SluiceError `WIRE_INVALID`, whatever the bytes are.
   */
  read(bytes: Uint8Array): T;
}

/** The bytes of one message outside of a stream. */
export function encode<T>(codec: Codec<T>, message: T): Uint8Array {
  const writer = $protobuf.Writer.create();
  codec.write(message, writer);
  return writer.finish();
}

/** Never `Reader.create`: for a `Buffer` that hands out `Buffer`s, whose `slice` is a view where others copy. */
export function readerOf(bytes: Uint8Array): $protobuf.Reader {
  return new $protobuf.Reader(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
}

export function wireInvalid(message: string, cause?: unknown): SluiceError {
  return new SluiceError('WIRE_INVALID', message, {
    hint: 'the sender runs another version of Sluice, or is no node at all',
    cause,
  });
}

/** Runs a decoder; whatever it trips over becomes the one error that callers know. */
export function reading<T>(what: string, decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    if (error instanceof SluiceError && error.code === 'WIRE_INVALID') throw error;
    throw wireInvalid(`${what}: ${error instanceof Error ? error.message : String(error)}`, error);
  }
}

/** A 64-bit field as the safe integer it must be; beyond 2^53 - 1 two numbers could silently become one. */
export function safeInteger(value: number | Integer64 | null | undefined, what: string): number {
  if (value === null || value === undefined) return 0;
  if (typeof value === 'number') {
    if (Number.isSafeInteger(value) && value >= 0) return value;
    throw wireInvalid(`${what} is no integer from 0 to 2^53 - 1`);
  }
  const high = value.high >>> 0;
  if (high > 0x1f_ffff) throw wireInvalid(`${what} exceeds 2^53 - 1`);
  return high * 0x1_0000_0000 + (value.low >>> 0);
}

/** For the writing side: a number that would arrive as another is a bug of the sender. */
export function integerFor(value: number, what: string): number {
  if (!Number.isSafeInteger(value) || value < 0)
    throw wireInvalid(`${what} is ${value}, no integer from 0 to 2^53 - 1`);
  return value;
}

export function uint32For(value: number, what: string): number {
  if (value >>> 0 !== value) throw wireInvalid(`${what} is ${value}, no integer from 0 to 2^32 - 1`);
  return value;
}
