import { SluiceError } from '@sluice/common/errors';
import type { Counter, Metrics } from '@sluice/common/metrics';
import type { EntryLog } from '@sluice/storage/entry-log-contract';

/**
 * Bytes of entries, for whoever delivers from them: newest from memory, older from the entry log.
 *
 * Reading the disk for what was written a moment ago would double its work when consumers keep up; keeping everything
 * would make memory grow with the backlog. So the last entries stay up to a bound in bytes, the least recently used
 * goes first, and an entry read once from the disk serves all deliveries from it.
 */
export class RecordReader {
  readonly #entryLog: EntryLog;
  readonly #bytesMax: number;
  readonly #groups = new Map<number, Map<number, Uint8Array>>();
  /** Insertion order is age: a hit moves the entry to the end. */
  readonly #ages = new Map<string, { groupId: number; index: number; bytes: number }>();
  #bytes = 0;
  readonly #hits: Counter;
  readonly #misses: Counter;
  readonly #reading = new Map<string, Promise<Uint8Array>>();

  constructor(options: { entryLog: EntryLog; bytesMax: number; metrics: Metrics }) {
    this.#entryLog = options.entryLog;
    this.#bytesMax = options.bytesMax;
    const help = 'Entries wanted for delivery, by where they were found';
    this.#hits = options.metrics.counter('sluice_store_entry_reads_total', help, { from: 'memory' });
    this.#misses = options.metrics.counter('sluice_store_entry_reads_total', help, { from: 'disk' });
    options.metrics.collect('sluice_store_entry_cache_bytes', 'Bytes of recent entries in memory', 'gauge', () => [
      [{}, this.#bytes],
    ]);
  }

  /** An entry that was just written. */
  remember(groupId: number, index: number, data: Uint8Array): void {
    if (data.length > this.#bytesMax) return;
    let group = this.#groups.get(groupId);
    if (group === undefined) {
      group = new Map();
      this.#groups.set(groupId, group);
    }
    if (group.has(index)) return;
    group.set(index, ownBytes(data));
    this.#ages.set(`${groupId}:${index}`, { groupId, index, bytes: data.length });
    this.#bytes += data.length;
    this.#evict();
  }

  /** Nothing of it will be delivered any more. */
  forget(groupId: number, index: number): void {
    const id = `${groupId}:${index}`;
    const age = this.#ages.get(id);
    if (age === undefined) return;
    this.#ages.delete(id);
    this.#groups.get(groupId)?.delete(index);
    this.#bytes -= age.bytes;
  }

  /** The group's log begins anew here, or is gone: nothing of it may be taken for what is in it now. */
  forgetGroup(groupId: number): void {
    for (const index of [...(this.#groups.get(groupId)?.keys() ?? [])]) this.forget(groupId, index);
    this.#groups.delete(groupId);
  }

  /** In memory, or undefined. */
  recent(groupId: number, index: number): Uint8Array | undefined {
    const data = this.#groups.get(groupId)?.get(index);
    if (data === undefined) return undefined;
    this.#hits.add();
    const id = `${groupId}:${index}`;
    const age = this.#ages.get(id);
    if (age !== undefined) {
      this.#ages.delete(id);
      this.#ages.set(id, age);
    }
    return data;
  }

  /** @throws SluiceError `ENTRY_LOG_DAMAGED`, `ENTRY_MISSING` */
  read(groupId: number, index: number): Promise<Uint8Array> {
    const id = `${groupId}:${index}`;
    let reading = this.#reading.get(id);
    if (reading === undefined) {
      reading = this.#readOnce(groupId, index).finally(() => this.#reading.delete(id));
      this.#reading.set(id, reading);
    }
    return reading;
  }

  async #readOnce(groupId: number, index: number): Promise<Uint8Array> {
    this.#misses.add();
    const [entry] = await this.#entryLog.read(groupId, index, index, 0);
    if (entry === undefined)
      throw new SluiceError('ENTRY_MISSING', `entry ${index} of group ${groupId} is not in the log`);
    this.remember(groupId, index, entry.data);
    return entry.data;
  }

  #evict(): void {
    for (const [id, age] of this.#ages) {
      if (this.#bytes <= this.#bytesMax) return;
      this.#ages.delete(id);
      this.#groups.get(age.groupId)?.delete(age.index);
      this.#bytes -= age.bytes;
    }
  }
}

/** A view of more than so many times its size is copied: it would keep the whole block alive that it lies in. */
const BLOCK_FACTOR_MAX = 4;

/** Small batches are encoded side by side in one block, and the one that lives long would pin all of it. */
function ownBytes(data: Uint8Array): Uint8Array {
  return data.buffer.byteLength > BLOCK_FACTOR_MAX * data.length ? new Uint8Array(data) : data;
}
