import { type FileOperations, isFullDisk } from '../../files/file-operations.ts';
import type { ActiveSegment } from './active-segment.ts';

/**
 * Bytes ahead of the end of the segment that is written: zeros, or those of the segment that its file was before.
 *
 * A frame that makes its file longer is durable only with a commit of the file system's journal: several blocks more on the
 * disk, and a wait for whatever else is in it. Over zeros that stand there already, a sync writes the pages of the frame and
 * nothing else. Zeros cost a write of their own, hence are laid only where frames are small, so that many share it.
 *
 * Behind the last frame there are then such bytes up to the end of the file. Recovery takes them for what they are: no frame. A
 * segment is cut to its end before the next one says how long it is.
 */
export class Runway {
  readonly #files: FileOperations;
  readonly #segmentBytes: number;
  readonly #zeros: Buffer;
  /** Up to here the file has bytes; 0: it ends where its frames end. */
  #end = 0;
  #smallFrames = 0;
  /** There is no room for what may not be needed. */
  #isResting = false;

  static readonly BYTES = 64 * 1024;
  /** At least so many frames share what is laid at once. */
  static readonly FRAMES_MIN = 16;
  /** So many small frames in a row: what comes now will be small as well. */
  static readonly RUN_FRAMES = 8;

  constructor(files: FileOperations, segmentBytes: number) {
    this.#files = files;
    this.#segmentBytes = segmentBytes;
    this.#zeros = Buffer.alloc(Math.min(Runway.BYTES, segmentBytes >> 3));
  }

  /** The file may be longer than what was written to it. */
  get isLaid(): boolean {
    return this.#end > 0;
  }

  /** How much of the file is there for nothing so far. */
  ahead({ end }: ActiveSegment): number {
    return Math.max(0, this.#end - end);
  }

  /** Whether zeros are to be laid before this frame is written. */
  isWanted({ end }: ActiveSegment, frameBytes: number): boolean {
    if (frameBytes * Runway.FRAMES_MIN > this.#zeros.length) {
      this.#smallFrames = 0;
      return false;
    }
    this.#smallFrames++;
    if (end + frameBytes <= this.#end || this.#isResting || this.#smallFrames < Runway.RUN_FRAMES) return false;
    return Math.max(end, this.#end) + this.#zeros.length <= this.#segmentBytes;
  }

  /** Zeros through the segment's own descriptor, durable like its frames. A full disk is none of its concern. */
  async lay({ fd, end }: ActiveSegment): Promise<void> {
    const from = Math.max(end, this.#end);
    this.#end = from;
    try {
      const written = await this.#files.writev(fd, [this.#zeros], from);
      this.#end = from + written;
      this.#isResting = written < this.#zeros.length;
    } catch (error) {
      if (!isFullDisk(error)) throw error;
      this.#isResting = true;
    }
  }

  /** The file ends where its frames end, as far as the system knows: the cut is not durable yet. */
  async cut({ fd, end }: ActiveSegment): Promise<void> {
    await this.#files.truncate(fd, end);
    this.#end = 0;
  }

  /** Another segment is written from now on. */
  restart({ foundBytes }: ActiveSegment): void {
    this.#end = foundBytes;
    this.#isResting = false;
  }
}
