import type { Engine, KeyValueWrite } from '@sluice/storage/engine';
import { MemoryEngine } from '@sluice/storage/memory/memory-engine';
import type { SimWorld } from './sim-world.ts';

/**
 * The key-value engine of one node over its crashes. The port promises that a crash loses only the last unsynced writes,
 * never one and not a later one: which is a prefix of what was written, cut where the seed has it.
 */
export class SimEngineDisk {
  readonly #world: SimWorld;
  /** By key, as latin1. */
  readonly #durable = new Map<string, { key: Uint8Array; value: Uint8Array }>();
  #current = new MemoryEngine();
  #unsynced: EngineWrite[] = [];

  /** An engine writes its memory out now and then, whoever asks. */
  static readonly UNSYNCED_MAX = 256;

  constructor(world: SimWorld) {
    this.#world = world;
  }

  open(): Engine {
    const engine = this.#current;
    const record = (write: EngineWrite, sync: boolean): void => {
      this.#unsynced.push(write);
      if (sync || this.#unsynced.length > SimEngineDisk.UNSYNCED_MAX) this.#keep(this.#unsynced.length);
    };
    return {
      get: (key) => engine.get(key),
      getMany: (keys) => engine.getMany(keys),
      write: async (batch, options) => {
        await engine.write(batch, options);
        // The buffers are the caller's, and `slice` of one would be a view.
        const copy = batch.map(({ key, value }) => ({
          key: new Uint8Array(key),
          value: value === undefined ? undefined : new Uint8Array(value),
        }));
        if (copy.length > 0 || options.sync) record({ batch: copy }, options.sync);
      },
      scan: (from, to, limit) => engine.scan(from, to, limit),
      snapshotScan: (from, to, chunkRows) => engine.snapshotScan(from, to, chunkRows),
      clearRange: async (from, to) => {
        await engine.clearRange(from, to);
        record({ from: new Uint8Array(from), to: new Uint8Array(to) }, false);
      },
      // The next life opens it again; this one must not use it any more, which the world sees to.
      close: async () => this.#keep(this.#unsynced.length),
    };
  }

  /** The process is gone: what it gave to the system stays. */
  processEnded(): void {
    this.#keep(this.#unsynced.length);
  }

  powerLost(): void {
    this.#keep(this.#world.prng.below(this.#unsynced.length + 1));
    this.#unsynced = [];
    this.#current = new MemoryEngine();
    const rows = [...this.#durable].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
    // Settled when it returns: the memory engine has nothing to wait for.
    void this.#current.write(rows, { sync: true });
  }

  wipe(): void {
    this.#unsynced = [];
    this.#durable.clear();
    this.#current = new MemoryEngine();
  }

  #keep(count: number): void {
    for (const write of this.#unsynced.splice(0, count)) {
      if ('batch' in write) {
        for (const { key, value } of write.batch) {
          if (value === undefined) this.#durable.delete(textOf(key));
          else this.#durable.set(textOf(key), { key, value });
        }
      } else {
        const [from, to] = [textOf(write.from), textOf(write.to)];
        for (const key of [...this.#durable.keys()]) if (key >= from && key < to) this.#durable.delete(key);
      }
    }
  }
}

type EngineWrite = { batch: KeyValueWrite[] } | { from: Uint8Array; to: Uint8Array };

function textOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1');
}
