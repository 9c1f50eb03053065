import { join } from 'node:path';
import type { FileOperations } from '../../files/file-operations.ts';

/**
 * Files of segments that were given back, to be written again. A new file gets its blocks, and their pages in memory, while
 * it is written, and each frame waits for that; in these they are there already. What is still in them passes for nothing:
 * frames carry the salt of their segment, and numbers below all that will come.
 *
 * Bound: `FILES_MAX`. They are given up when the disk is full, when the log comes to rest, and at every start.
 */
export class SpareSegments {
  readonly #files: FileOperations;
  readonly #directory: string;
  readonly #paths: string[] = [];
  #made = 0;

  static readonly FILES_MAX = 2;

  constructor(files: FileOperations, directory: string) {
    this.#files = files;
    this.#directory = directory;
  }

  get wanted(): boolean {
    return this.#paths.length < SpareSegments.FILES_MAX;
  }

  /** Nobody may have the file open, or open it by its former name any more. */
  async keep(path: string): Promise<void> {
    const spare = join(this.#directory, `spare-${++this.#made}`);
    await this.#files.rename(path, spare);
    this.#paths.push(spare);
  }

  /** It is the caller's from now on. */
  take(): string | undefined {
    return this.#paths.pop();
  }

  /** Whether there were any. */
  async giveUp(): Promise<boolean> {
    const paths = this.#paths.splice(0);
    for (const path of paths) await this.#files.unlink(path);
    return paths.length > 0;
  }
}

/** One that an earlier life left. */
export function isSpare(name: string): boolean {
  return /^spare-\d+$/.test(name);
}
