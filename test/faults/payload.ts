import { createHash } from 'node:crypto';
import type { Prng } from '@sluice/common/prng';

/** A payload that says who it is in its first line, and is filled up with bytes that only that id has. */
export function makePayload(id: string, sizeBytes: number): Buffer {
  const head = Buffer.from(`${id}\n`);
  const payload = Buffer.allocUnsafe(Math.max(sizeBytes, head.length));
  const pattern = createHash('sha256').update(id).digest();
  payload.fill(pattern);
  head.copy(payload);
  return payload;
}

/** The id in the first line, or what stands there instead. */
export function idOf(payload: Uint8Array): string {
  const end = payload.indexOf(0x0a);
  return Buffer.from(payload.buffer, payload.byteOffset, end < 0 ? Math.min(64, payload.length) : end).toString();
}

export function hashOf(payload: Uint8Array): string {
  return createHash('sha1').update(payload).digest('base64');
}

/** Mostly small, now and then an image: 100 bytes to 300 KB. */
export function drawSize(prng: Prng): number {
  const kind = prng.below(100);
  if (kind < 80) return 100 + prng.below(1_900);
  if (kind < 96) return 2_000 + prng.below(20_000);
  return 50_000 + prng.below(250_000);
}
