import type { FileOperations } from '../files/file-operations.ts';
import { damaged } from './log-errors.ts';

const WINDOW_BYTES = 1024 * 1024;

/** Reads a file front to back through one buffer. `covers` and `view` cost nothing, so that only refills are awaited. */
export class SequentialReader {
  readonly #files: FileOperations;
  readonly #fd: number;
  readonly #path: string;
  readonly sizeBytes: number;
  #buffer = Buffer.allocUnsafeSlow(WINDOW_BYTES);
  #start = 0;
  #length = 0;

  constructor(files: FileOperations, fd: number, path: string, sizeBytes: number) {
    this.#files = files;
    this.#fd = fd;
    this.#path = path;
    this.sizeBytes = sizeBytes;
  }

  covers(position: number, count: number): boolean {
    return position >= this.#start && position + count <= this.#start + this.#length;
  }

  /** Valid until the next `fill`. Short when the file is. */
  view(position: number, count: number): Buffer {
    const from = position - this.#start;
    return this.#buffer.subarray(from, Math.min(from + count, this.#length));
  }

  /** Makes `count` bytes from `position` viewable, or as many as the file has. `count` stays below a few megabytes. */
  async fill(position: number, count: number): Promise<void> {
    if (this.covers(position, Math.min(count, this.sizeBytes - position))) return;
    if (count > this.#buffer.length) this.#buffer = Buffer.allocUnsafeSlow(count);
    const wanted = Math.max(0, Math.min(this.#buffer.length, this.sizeBytes - position));
    this.#start = position;
    this.#length = 0;
    try {
      this.#length = await this.#files.read(this.#fd, this.#buffer.subarray(0, wanted), position);
    } catch (error) {
      throw damaged(this.#path, position, `${wanted} readable bytes`, error);
    }
    if (this.#length < wanted)
      throw damaged(this.#path, position + this.#length, `${this.sizeBytes} bytes in the file`);
  }
}
