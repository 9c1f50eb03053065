import { checksum } from '../checksum.ts';

/**
 * Rows carry their own checksum over key and value, because iterators of the binding do not verify the checksums of the
 * blocks they read: a flipped bit would come back as a row.
 */
export const SEAL_BYTES = 4;

/** Writes the sealed value to `into` and returns its size. */
export function sealValue(key: Uint8Array, value: Uint8Array, into: Buffer, at: number): number {
  into.writeUInt32LE(checksum(value, checksum(key)), at);
  into.set(value, at + SEAL_BYTES);
  return SEAL_BYTES + value.length;
}

/** The value, viewed; undefined when it is not what was written. */
export function openValue(key: Uint8Array, sealed: Buffer): Uint8Array | undefined {
  if (sealed.length < SEAL_BYTES) return undefined;
  const value = sealed.subarray(SEAL_BYTES);
  return sealed.readUInt32LE(0) === checksum(value, checksum(key)) ? value : undefined;
}
