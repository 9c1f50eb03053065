import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

/**
 * How much memory is used before all of it is looked through for garbage.
 *
 * V8 allows a heap to about double; buffers count, although they are not in it. So a node of 25 MB, through which images
 * pass, is searched from end to end for each fifteen of them: half of its processor time. A floor of room makes that a few
 * searches a thousand images. The room is a number of bytes and no multiple: of a heap that holds fifty thousand streams
 * five times as much would be half a gigabyte, most of which stays with the process. A heap that is larger than its room
 * doubles.
 *
 * Read by V8 at the end of each search, which is why it may be set while the process runs.
 */
export class HeapGrowth {
  readonly #oldBytes: () => number;
  readonly #setPercent: (percent: number) => void;
  #lastBytes = 0;
  #aliveBytes = 0;
  #percent = 0;

  static readonly ROOM_BYTES = 96 * 1024 * 1024;
  static readonly PERCENT_MIN = 100;
  static readonly PERCENT_MAX = 400;
  /** Less of a change is none. */
  static readonly PERCENT_STEP = 10;
  /** A heap that is smaller than this share of what it was has been searched: what is left is alive. */
  static readonly SEARCHED_SHARE = 0.9;

  constructor(
    oldBytes = oldGenerationBytes,
    setPercent = (percent: number) => setFlagsFromString(`--heap-growing-percent=${percent}`),
  ) {
    this.#oldBytes = oldBytes;
    this.#setPercent = setPercent;
  }

  /** Now and then. */
  look(): void {
    const bytes = this.#oldBytes();
    if (bytes < this.#lastBytes * HeapGrowth.SEARCHED_SHARE || this.#aliveBytes === 0) this.#aliveBytes = bytes;
    // Above its limit it has been searched as well, and nothing was to be found: at least so much was alive then.
    else this.#aliveBytes = Math.max(this.#aliveBytes, bytes / (1 + this.#percent / 100));
    this.#lastBytes = bytes;
    const wanted = Math.round((HeapGrowth.ROOM_BYTES / this.#aliveBytes) * 100);
    const percent = Math.min(Math.max(wanted, HeapGrowth.PERCENT_MIN), HeapGrowth.PERCENT_MAX);
    if (Math.abs(percent - this.#percent) < HeapGrowth.PERCENT_STEP) return;
    this.#percent = percent;
    this.#setPercent(percent);
  }
}

/** Of the heap without the space where objects begin, whose size says nothing of what stays. */
function oldGenerationBytes(): number {
  let bytes = 0;
  for (const { space_name: name, space_used_size: used } of getHeapSpaceStatistics()) {
    if (!name.startsWith('new_')) bytes += used;
  }
  return bytes;
}
