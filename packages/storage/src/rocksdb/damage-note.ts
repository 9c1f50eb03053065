import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const FILE = 'DAMAGED';

/**
 * Remembers, beside the files of the engine, that a read found damage in them. An open looks at little of them, so
 * without it a restart would take the same state for good, and fail at the same row again. With it the restart makes the
 * state anew.
 */
export class DamageNote {
  readonly #path: string;
  #writing: Promise<void> | undefined;

  constructor(directory: string) {
    this.#path = join(directory, FILE);
  }

  async read(): Promise<string | undefined> {
    try {
      return await readFile(this.#path, 'utf8');
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw cause;
    }
  }

  /** The first one counts. That it cannot be written changes nothing of what is told now. */
  write(text: string): void {
    this.#writing ??= writeFile(this.#path, text).catch(() => {});
  }

  async written(): Promise<void> {
    await this.#writing;
  }
}
