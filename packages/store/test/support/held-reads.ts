import type { EntryLog } from '@sluice/storage/entry-log-contract';
import { until } from './test-store.ts';

/** Entries are read from the log, and whoever asked is answered when the test says so: as from a busy disk. */
export class HeldReads {
  #count = 0;
  #release = (): void => {};

  constructor(entryLog: EntryLog) {
    const read = entryLog.readNear.bind(entryLog);
    const released = new Promise<void>((resolve) => {
      this.#release = resolve;
    });
    entryLog.readNear = async (...range) => {
      const entries = await read(...range);
      this.#count++;
      await released;
      return entries;
    };
  }

  /** Somebody waits for an answer. */
  async asked(): Promise<void> {
    await until(() => this.#count > 0, 'entries are read');
  }

  /** All are answered, those that ask later, too. */
  release(): void {
    this.#release();
  }
}
