/**
 * How long messages took, in microseconds, in fixed memory: a list of a million latencies costs the generator more than
 * receiving them does, and cannot be added up over processes. Each power of two has 64 buckets, so a percentile is
 * right within 1.6 %; what is shorter than 64 µs is exact.
 *
 * @hotpath
 */
const SUB_BITS = 6;
const SUB_BUCKETS = 1 << SUB_BITS;
/** 2^31 µs are 35 minutes; what is longer counts as that. */
const VALUE_MAX = 2 ** 31 - 1;
const BUCKETS = (31 - SUB_BITS + 1) * SUB_BUCKETS;

export class LatencySketch {
  readonly #counts: Float64Array;
  #count: number;

  constructor(counts: Float64Array = new Float64Array(BUCKETS)) {
    this.#counts = counts;
    this.#count = 0;
    for (let i = 0; i < counts.length; i++) this.#count += counts[i] as number;
  }

  get count(): number {
    return this.#count;
  }

  /** To be sent to another process, and given to a constructor there. */
  get counts(): Float64Array {
    return this.#counts;
  }

  add(us: number): void {
    this.#counts[bucketOf(us)]! += 1;
    this.#count++;
  }

  merge(other: LatencySketch): void {
    const counts = other.#counts;
    for (let i = 0; i < counts.length; i++) this.#counts[i]! += counts[i] as number;
    this.#count += other.#count;
  }

  clear(): void {
    this.#counts.fill(0);
    this.#count = 0;
  }

  /** The least value that at least `share` of all do not exceed, within a bucket; undefined when there is none. */
  percentileUs(share: number): number | undefined {
    if (this.#count === 0) return undefined;
    const wanted = Math.max(1, Math.ceil(this.#count * share));
    let seen = 0;
    for (let i = 0; i < BUCKETS; i++) {
      seen += this.#counts[i] as number;
      if (seen >= wanted) return middleOf(i);
    }
    return VALUE_MAX;
  }
}

function bucketOf(us: number): number {
  const value = us < 0 ? 0 : us > VALUE_MAX ? VALUE_MAX : Math.round(us) | 0;
  if (value < SUB_BUCKETS) return value;
  const shift = 31 - Math.clz32(value) - SUB_BITS;
  return (shift + 1) * SUB_BUCKETS + (value >>> shift) - SUB_BUCKETS;
}

function middleOf(bucket: number): number {
  if (bucket < SUB_BUCKETS) return bucket;
  const shift = Math.floor(bucket / SUB_BUCKETS) - 1;
  const low = (SUB_BUCKETS + (bucket % SUB_BUCKETS)) * 2 ** shift;
  return low + (2 ** shift - 1) / 2;
}
