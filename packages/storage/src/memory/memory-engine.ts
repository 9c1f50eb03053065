import { assert } from '@sluice/common/assert';
import type { Engine, KeyValue, KeyValueWrite, SnapshotScan } from '../engine.ts';

/**
 * The engine port over a sorted array: for tests and the simulator, up to some hundred thousand rows. Bytes are copied by
 * `new Uint8Array`: `slice` of a buffer is a view, and whoever changed what he gave or got would change the row.
 */
export class MemoryEngine implements Engine {
  readonly #rows: KeyValue[] = [];
  #closed = false;

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return (await this.getMany([key]))[0];
  }

  async getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    this.#assertOpen();
    return keys.map((key) => {
      const row = this.#rows[this.#lowerBound(key)];
      return row !== undefined && compare(row.key, key) === 0 ? new Uint8Array(row.value) : undefined;
    });
  }

  async write(batch: readonly KeyValueWrite[], _options: { sync: boolean }): Promise<void> {
    this.#assertOpen();
    for (const { key } of batch) assert(key.length > 0 && key[0] !== 0xff, 'keys are not empty, and 0xff is reserved');
    for (const { key, value } of batch) {
      const at = this.#lowerBound(key);
      const held = this.#rows[at];
      const replaced = held !== undefined && compare(held.key, key) === 0 ? 1 : 0;
      // New objects: a snapshot keeps the old ones.
      if (value === undefined) this.#rows.splice(at, replaced);
      else this.#rows.splice(at, replaced, { key: new Uint8Array(key), value: new Uint8Array(value) });
    }
  }

  async scan(from: Uint8Array, to: Uint8Array, limit: number): Promise<KeyValue[]> {
    this.#assertOpen();
    const start = this.#lowerBound(from);
    return copies(this.#rows.slice(start, Math.min(this.#lowerBound(to), start + Math.max(0, limit))));
  }

  snapshotScan(from: Uint8Array, to: Uint8Array, chunkRows: number): SnapshotScan {
    this.#assertOpen();
    const rows = this.#rows.slice(this.#lowerBound(from), this.#lowerBound(to));
    const assertOpen = () => this.#assertOpen();
    const chunks = (async function* () {
      for (let at = 0; at < rows.length; at += chunkRows) {
        assertOpen();
        yield copies(rows.slice(at, at + chunkRows));
      }
    })();
    return { [Symbol.asyncIterator]: () => chunks, end: async () => {} };
  }

  async clearRange(from: Uint8Array, to: Uint8Array): Promise<void> {
    this.#assertOpen();
    const start = this.#lowerBound(from);
    this.#rows.splice(start, Math.max(0, this.#lowerBound(to) - start));
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #assertOpen(): void {
    assert(!this.#closed, 'nobody may use an engine that was closed');
  }

  #lowerBound(key: Uint8Array): number {
    let low = 0;
    let high = this.#rows.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compare((this.#rows[middle] as KeyValue).key, key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function compare(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b);
}

function copies(rows: readonly KeyValue[]): KeyValue[] {
  return rows.map(({ key, value }) => ({ key: new Uint8Array(key), value: new Uint8Array(value) }));
}
