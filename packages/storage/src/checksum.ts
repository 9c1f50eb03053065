import { createRequire } from 'node:module';
import { crc32c as portableCrc32c } from '@sluice/common/bytes/crc32c';

/**
 * Crossing into native code costs more than summing a few bytes in JavaScript, and less than summing many: they meet at
 * about 200 bytes. Both give the same value. The native code is loaded on first use: idle, it would cost 10 MB.
 */
const NATIVE_FROM_BYTES = 200;

type Crc32c = (bytes: Uint8Array, seed: number) => number;
let nativeCrc32c: Crc32c | undefined;

/** CRC32C; `seed` continues an earlier sum. */
export function checksum(bytes: Uint8Array, seed = 0): number {
  if (bytes.length < NATIVE_FROM_BYTES) return portableCrc32c(bytes, seed);
  nativeCrc32c ??= loadNative();
  return nativeCrc32c(bytes, seed);
}

function loadNative(): Crc32c {
  const loaded = createRequire(import.meta.url)('@node-rs/crc32') as { crc32c: Crc32c };
  return loaded.crc32c;
}
