import { join } from 'node:path';
import type { FileOperations } from '../files/file-operations.ts';

/** Enough for the start of a segment and a few notes, whatever the block size. */
const RESERVE_BYTES = 256 * 1024;

/**
 * A file of nothing. Giving a segment back takes a note in the log, so on a full disk no space could ever be given back:
 * then this file makes room for the note, and is made again from what the segment leaves.
 */
export class SpaceReserve {
  readonly #files: FileOperations;
  readonly #path: string;
  #held = false;

  constructor(files: FileOperations, directory: string) {
    this.#files = files;
    this.#path = join(directory, 'reserve');
  }

  /** Without room for it there is none until the next time. */
  async fill(): Promise<void> {
    if (this.#held) return;
    try {
      const fd = await this.#files.open(this.#path, 'replace');
      try {
        this.#held = (await this.#files.writev(fd, [Buffer.alloc(RESERVE_BYTES)], 0)) === RESERVE_BYTES;
      } finally {
        await this.#files.close(fd);
      }
    } catch {
      this.#held = false;
    }
  }

  /** Whether there was something to give up. */
  async giveUp(): Promise<boolean> {
    if (!this.#held) return false;
    this.#held = false;
    await this.#files.unlink(this.#path);
    return true;
  }
}
