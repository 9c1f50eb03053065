import type { Engine, KeyValue, KeyValueWrite, SnapshotScan } from '@sluice/storage/engine';
import { MemoryEngine } from '@sluice/storage/memory/memory-engine';

/**
 * The engine in memory with a gate before the answers of scans: what was read stays as it was at the time of the read,
 * and arrives when the test opens the gate. That is what a busy disk does. Writes have a gate of their own.
 */
export class GatedEngine implements Engine {
  readonly #rows = new MemoryEngine();
  #gate: Promise<void> | undefined;
  #open: (() => void) | undefined;
  #closed = false;
  /** Scans whose answer waits. */
  waiting = 0;

  #writeGate: Promise<void> | undefined;
  #openWrites: (() => void) | undefined;

  /** From now on writes wait. */
  holdWrites(): void {
    this.#writeGate ??= new Promise((resolve) => {
      this.#openWrites = resolve;
    });
  }

  /** From now on answers of scans wait. */
  hold(): void {
    this.#gate ??= new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  release(): void {
    this.#gate = undefined;
    this.#open?.();
    this.#writeGate = undefined;
    this.#openWrites?.();
  }

  reopen(): void {
    this.release();
    this.#closed = false;
  }

  async scan(from: Uint8Array, to: Uint8Array, limit: number): Promise<KeyValue[]> {
    const found = await this.#rows.scan(from, to, limit);
    const gate = this.#gate;
    if (gate !== undefined) {
      this.waiting++;
      await gate;
      this.waiting--;
    }
    return found;
  }

  get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#rows.get(key);
  }

  getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return this.#rows.getMany(keys);
  }

  async write(batch: readonly KeyValueWrite[], options: { sync: boolean }): Promise<void> {
    if (this.#closed) throw new Error('written after it was closed');
    await this.#writeGate;
    await this.#rows.write(batch, options);
  }

  snapshotScan(from: Uint8Array, to: Uint8Array, chunkRows: number): SnapshotScan {
    return this.#rows.snapshotScan(from, to, chunkRows);
  }

  clearRange(from: Uint8Array, to: Uint8Array): Promise<void> {
    return this.#rows.clearRange(from, to);
  }

  async close(): Promise<void> {
    this.#closed = true;
  }
}
