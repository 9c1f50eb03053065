import { getHeapStatistics, setFlagsFromString } from 'node:v8';

/**
 * How much memory is used before all of it is looked through for garbage.
 *
 * V8 allows a heap to about double; buffers count, although they are not in it. So a node of 25 MB, through which images
 * pass, is searched from end to end for each fifteen of them: half of its processor time. A floor of room makes that a few
 * searches a thousand images. A heap that is large has room enough by doubling, and is left to V8.
 *
 * Read by V8 at the end of each collection, which is why it may be set while the process runs.
 */
export class HeapGrowth {
  readonly #usedBytes: () => number;
  readonly #setPercent: (percent: number) => void;
  #isGenerous = false;

  static readonly SMALL_BYTES = 96 * 1024 * 1024;
  /** Of a small heap: up to five times what is alive. */
  static readonly PERCENT = 400;

  constructor(
    usedBytes = () => getHeapStatistics().used_heap_size,
    setPercent = (percent: number) => setFlagsFromString(`--heap-growing-percent=${percent}`),
  ) {
    this.#usedBytes = usedBytes;
    this.#setPercent = setPercent;
  }

  /** Now and then. */
  look(): void {
    const usedBytes = this.#usedBytes();
    // Two thresholds: a heap at the border would else be set to and fro.
    const isSmall = usedBytes < HeapGrowth.SMALL_BYTES * (this.#isGenerous ? 1.5 : 1);
    if (isSmall === this.#isGenerous) return;
    this.#isGenerous = isSmall;
    this.#setPercent(isSmall ? HeapGrowth.PERCENT : 0);
  }
}
