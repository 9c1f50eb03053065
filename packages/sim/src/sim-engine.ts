import type { Engine, KeyValue, KeyValueWrite } from '@sluice/storage/engine';
import { MemoryEngine } from '@sluice/storage/memory/memory-engine';
import type { SimWorld } from './sim-world.ts';

/**
 * The key-value engine of one node over its crashes. The port promises that a crash loses only the last unsynced writes,
 * never one and not a later one: which is a prefix of what was written, cut where the seed has it.
 */
export class SimEngineDisk {
  readonly #world: SimWorld;
  #durable = new MemoryEngine();
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
        // The buffers are the caller's.
        const copy = batch.map(({ key, value }) => ({ key: key.slice(), value: value?.slice() }));
        if (copy.length > 0 || options.sync) record({ batch: copy }, options.sync);
      },
      scan: (from, to, limit) => engine.scan(from, to, limit),
      snapshotScan: (from, to, chunkRows) => engine.snapshotScan(from, to, chunkRows),
      clearRange: async (from, to) => {
        await engine.clearRange(from, to);
        record({ from: from.slice(), to: to.slice() }, false);
      },
      // The next life opens it again; this one must not use it any more, which the world sees to.
      close: async () => this.#keep(this.#unsynced.length),
    };
  }

  /** The process is gone: what it gave to the system stays. */
  processEnded(): void {
    this.#keep(this.#unsynced.length);
  }

  async powerLost(): Promise<void> {
    this.#keep(this.#world.prng.below(this.#unsynced.length + 1));
    this.#unsynced = [];
    this.#current = new MemoryEngine();
    for await (const rows of this.#durable.snapshotScan(FIRST_KEY, LAST_KEY, 4096)) await copyRows(this.#current, rows);
  }

  wipe(): void {
    this.#unsynced = [];
    this.#durable = new MemoryEngine();
    this.#current = new MemoryEngine();
  }

  #keep(count: number): void {
    for (const write of this.#unsynced.splice(0, count)) {
      // Settled when it returns: the memory engine has nothing to wait for.
      if ('batch' in write) void this.#durable.write(write.batch, { sync: true });
      else void this.#durable.clearRange(write.from, write.to);
    }
  }
}

type EngineWrite = { batch: KeyValueWrite[] } | { from: Uint8Array; to: Uint8Array };

const FIRST_KEY = new Uint8Array([0]);
const LAST_KEY = new Uint8Array([0xff]);

function copyRows(engine: MemoryEngine, rows: KeyValue[]): Promise<void> {
  return engine.write(rows, { sync: true });
}
