import { crc32c as nativeCrc32c } from '@node-rs/crc32';
import { crc32c as portableCrc32c } from '@sluice/common/bytes/crc32c';

/**
 * Crossing into native code costs more than summing a few bytes in JavaScript, and less than summing many. Both give
 * the same value.
 */
const NATIVE_FROM_BYTES = 256;

/** CRC32C; `seed` continues an earlier sum. */
export function checksum(bytes: Uint8Array, seed = 0): number {
  return bytes.length < NATIVE_FROM_BYTES ? portableCrc32c(bytes, seed) : nativeCrc32c(bytes, seed);
}
