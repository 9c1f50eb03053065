import type { KeyValue } from '../engine.ts';

/**
 * Finds writes that vanished from the middle. The binding opens the engine without its strict checks: where a block of
 * its write-ahead log is unreadable, after a power loss or a flipped bit, it skips that block and goes on with the rest,
 * and the applied index of a later write would vouch for one that is gone. A lost *end* is fine, the entry log replays
 * it; a hole is not.
 *
 * So each write leaves its number in one of `RING_SLOTS` rows, in turn, within its atomic batch. At the open, the last
 * `RING_SLOTS` numbers must be there without a gap. They reach back further than what can still be in the log: a full
 * write buffer of 4 MiB holds at most 50,000 writes (measured with the smallest there are).
 */
const RING_SLOTS = 65_536;
/** First byte of the engine's own keys; no other key may start with it. */
export const RESERVED_BYTE = 0xff;

export const RING_FROM = Buffer.from([RESERVED_BYTE, 1, 0, 0]);
export const RING_TO = Buffer.from([RESERVED_BYTE, 2]);

export function ringKey(sequence: number): Buffer {
  const key = Buffer.from(RING_FROM);
  key.writeUInt16BE(sequence % RING_SLOTS, 2);
  return key;
}

export function ringValue(sequence: number): Buffer {
  const value = Buffer.allocUnsafe(8);
  value.writeBigUInt64BE(BigInt(sequence));
  return value;
}

/** Takes the ring's rows in any order; then tells the last write and the first missing one. */
export class RingCheck {
  readonly #sequences = new Set<number>();
  last = 0;

  add({ value }: KeyValue): void {
    const sequence = Number(Buffer.from(value.buffer, value.byteOffset, value.byteLength).readBigUInt64BE());
    this.#sequences.add(sequence);
    this.last = Math.max(this.last, sequence);
  }

  /** Number of a write that is gone although later ones are there. */
  missing(): number | undefined {
    for (let sequence = Math.max(1, this.last - RING_SLOTS + 1); sequence < this.last; sequence++) {
      if (!this.#sequences.has(sequence)) return sequence;
    }
    return undefined;
  }
}
