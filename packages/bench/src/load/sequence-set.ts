/**
 * Which numbers of one publisher's sequence have been seen: a bit each. Sequences are dense and begin at 0, so five
 * million messages cost 625 KB.
 *
 * @hotpath
 */
const BYTES_MIN = 1024;
/** Of one publisher in one run; beyond it is a mistake of the workload. */
const SEQUENCE_MAX = 2 ** 31;

export class SequenceSet {
  #bits: Uint8Array;
  #size: number;

  constructor(bits: Uint8Array = new Uint8Array(BYTES_MIN), size: number = countOf(bits)) {
    this.#bits = bits;
    this.#size = size;
  }

  get size(): number {
    return this.#size;
  }

  /** To be sent to another process, and given to a constructor there. */
  get bits(): Uint8Array {
    return this.#bits;
  }

  has(sequence: number): boolean {
    const byte = this.#bits[sequence >>> 3];
    return byte !== undefined && (byte & (1 << (sequence & 7))) !== 0;
  }

  /** False when it was there. */
  add(sequence: number): boolean {
    const at = sequence >>> 3;
    if (at >= this.#bits.length) this.#grow(at + 1);
    const bit = 1 << (sequence & 7);
    const byte = this.#bits[at] as number;
    if ((byte & bit) !== 0) return false;
    this.#bits[at] = byte | bit;
    this.#size++;
    return true;
  }

  /** Takes in what another holds; how many both had. */
  unite(other: SequenceSet): number {
    if (other.#bits.length > this.#bits.length) this.#grow(other.#bits.length);
    const before = this.#size + other.#size;
    for (let i = 0; i < other.#bits.length; i++) this.#bits[i]! |= other.#bits[i] as number;
    this.#size = countOf(this.#bits);
    return before - this.#size;
  }

  /** How many of this are not in the other. */
  missingFrom(other: SequenceSet): number {
    let missing = 0;
    for (let i = 0; i < this.#bits.length; i++) {
      missing += ONES[(this.#bits[i] as number) & ~(other.#bits[i] ?? 0) & 0xff] as number;
    }
    return missing;
  }

  #grow(bytes: number): void {
    if (bytes * 8 > SEQUENCE_MAX) throw new RangeError(`a sequence of more than ${SEQUENCE_MAX} messages`);
    const grown = new Uint8Array(Math.max(bytes, this.#bits.length * 2));
    grown.set(this.#bits);
    this.#bits = grown;
  }
}

const ONES = new Uint8Array(256);
for (let i = 1; i < 256; i++) ONES[i] = (i & 1) + (ONES[i >> 1] as number);

function countOf(bits: Uint8Array): number {
  let count = 0;
  for (let i = 0; i < bits.length; i++) count += ONES[bits[i] as number] as number;
  return count;
}
