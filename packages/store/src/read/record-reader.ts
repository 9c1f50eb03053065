import { SluiceError } from '@sluice/common/errors';
import type { Counter, Metrics } from '@sluice/common/metrics';
import { positionsByQueue, recordPositions } from '@sluice/queue/record/record-batch';
import type { Entry } from '@sluice/raft/entry';
import type { EntryLog } from '@sluice/storage/entry-log-contract';

/**
 * Bytes of entries, for whoever delivers from them: newest from memory, older from the entry log.
 *
 * Reading the disk for what was written a moment ago would double its work when consumers keep up; keeping everything
 * would make memory grow with the backlog. So the last entries stay up to a bound in bytes, the least recently used
 * goes first, and an entry read once from the disk serves all deliveries from it.
 *
 * Whoever works through a backlog says how far he is going: entries that follow one another are read together. One by one
 * each is a trip to another thread and a pass of the event loop, and a busy loop takes long for a pass. All such reads
 * that are under way together bring no more than a small part of what is kept: many queues may begin at once.
 */
export class RecordReader {
  readonly #entryLog: EntryLog;
  readonly bytesMax: number;
  /** Of what is kept, that reads of several entries bring together: or the first were gone before they are used. */
  readonly #aheadBytesMax: number;
  #aheadBytes = 0;
  readonly #groups = new Map<number, Map<number, KeptEntry>>();
  /** By age: a hit moves an entry to the end. */
  #oldest: KeptEntry | undefined;
  #newest: KeptEntry | undefined;
  #bytes = 0;
  readonly #hits: Counter;
  readonly #misses: Counter;
  readonly #reading = new Map<string, Promise<ReadEntry>>();

  static readonly RUN_BYTES_MAX = 256 * 1024;

  constructor(options: { entryLog: EntryLog; bytesMax: number; metrics: Metrics }) {
    this.#entryLog = options.entryLog;
    this.bytesMax = options.bytesMax;
    this.#aheadBytesMax = options.bytesMax >> 3;
    const help = 'Entries wanted for delivery, by where they were found';
    this.#hits = options.metrics.counter('sluice_store_entry_reads_total', help, { from: 'memory' });
    this.#misses = options.metrics.counter('sluice_store_entry_reads_total', help, { from: 'disk' });
    options.metrics.collect('sluice_store_entry_cache_bytes', 'Bytes of recent entries in memory', 'gauge', () => [
      [{}, this.#bytes],
    ]);
  }

  /** An entry that was just written. */
  remember(groupId: number, index: number, data: Uint8Array): void {
    this.#keep(new ReadEntry(groupId, index, data));
  }

  /** Nothing of it will be delivered any more. */
  forget(groupId: number, index: number): void {
    const kept = this.#groups.get(groupId)?.get(index);
    if (kept !== undefined) this.#drop(kept);
  }

  /** The group's log begins anew here, or is gone: nothing of it may be taken for what is in it now. */
  forgetGroup(groupId: number): void {
    for (const kept of [...(this.#groups.get(groupId)?.values() ?? [])]) this.#drop(kept);
    this.#groups.delete(groupId);
  }

  /** In memory, or undefined. */
  recent(groupId: number, index: number): ReadEntry | undefined {
    const kept = this.#groups.get(groupId)?.get(index);
    if (kept === undefined) return undefined;
    this.#hits.add();
    if (kept !== this.#newest) {
      this.#unlink(kept);
      this.#link(kept);
    }
    return kept.entry;
  }

  /** In memory, without being used. */
  has(groupId: number, index: number): boolean {
    return this.#groups.get(groupId)?.has(index) ?? false;
  }

  /**
   * One entry. Those behind it up to `last` are wanted next: those come into memory with it that need no trip of their own.
   *
   * @throws SluiceError `ENTRY_LOG_DAMAGED`, `ENTRY_MISSING`
   */
  read(groupId: number, index: number, last = index): Promise<ReadEntry> {
    const id = `${groupId}:${index}`;
    let reading = this.#reading.get(id);
    if (reading === undefined) {
      reading = this.#readOnce(groupId, index, last).finally(() => this.#reading.delete(id));
      this.#reading.set(id, reading);
    }
    return reading;
  }

  async #readOnce(groupId: number, index: number, last: number): Promise<ReadEntry> {
    this.#misses.add();
    const [entry, ...following] = await this.#readNear(groupId, index, last);
    if (entry === undefined)
      throw new SluiceError('ENTRY_MISSING', `entry ${index} of group ${groupId} is not in the log`);
    const read = new ReadEntry(groupId, index, entry.data);
    read.lastBrought = index + following.length;
    this.#keep(read);
    for (const { index: at, data } of following) this.#keep(new ReadEntry(groupId, at, data));
    return read;
  }

  async #readNear(groupId: number, index: number, last: number): Promise<Entry[]> {
    const aheadBytes = Math.min(RecordReader.RUN_BYTES_MAX, this.#aheadBytesMax - this.#aheadBytes);
    if (last === index || aheadBytes <= 0) return await this.#entryLog.readNear(groupId, index, index, 0);
    this.#aheadBytes += aheadBytes;
    try {
      return await this.#entryLog.readNear(groupId, index, last, aheadBytes);
    } finally {
      this.#aheadBytes -= aheadBytes;
    }
  }

  #keep(entry: ReadEntry): void {
    const { groupId, index, data } = entry;
    if (data.length > this.bytesMax) return;
    let group = this.#groups.get(groupId);
    if (group === undefined) {
      group = new Map();
      this.#groups.set(groupId, group);
    }
    if (group.has(index)) return;
    entry.own();
    const kept: KeptEntry = { entry, older: undefined, newer: undefined };
    group.set(index, kept);
    this.#link(kept);
    this.#bytes += data.length;
    while (this.#bytes > this.bytesMax) this.#drop(this.#oldest as KeptEntry);
  }

  #drop(kept: KeptEntry): void {
    const { groupId, index, data } = kept.entry;
    const entries = this.#groups.get(groupId);
    // An old map that is emptied makes a table each time, and keeps all of them until the next full collection.
    if (entries?.size === 1) this.#groups.set(groupId, new Map());
    else entries?.delete(index);
    this.#unlink(kept);
    kept.older = undefined;
    kept.newer = undefined;
    kept.entry = GONE;
    this.#bytes -= data.length;
  }

  #link(kept: KeptEntry): void {
    kept.older = this.#newest;
    kept.newer = undefined;
    if (this.#newest === undefined) this.#oldest = kept;
    else this.#newest.newer = kept;
    this.#newest = kept;
  }

  #unlink(kept: KeptEntry): void {
    if (kept.older === undefined) this.#oldest = kept.newer;
    else kept.older.newer = kept.newer;
    if (kept.newer === undefined) this.#newest = kept.older;
    else kept.newer.older = kept.older;
  }
}

/**
 * The place of an entry. It may live on for a while as garbage, named by a table that the map has outgrown; neither the
 * entry nor its neighbours may live on with it, so it is left empty.
 */
interface KeptEntry {
  entry: ReadEntry;
  /** By age. */
  older: KeptEntry | undefined;
  newer: KeptEntry | undefined;
}

/** An entry's bytes, and where in them the records of a queue begin. */
export class ReadEntry {
  readonly groupId: number;
  readonly index: number;
  data: Uint8Array;
  /** Up to which index the others came with it. */
  lastBrought: number;
  /** Of an entry of several queues, since one of them was asked for: at most a few words a record. */
  #byQueue: ReadonlyMap<number, number[]> | undefined = undefined;

  constructor(groupId: number, index: number, data: Uint8Array) {
    this.groupId = groupId;
    this.index = index;
    this.data = data;
    this.lastBrought = index;
  }

  /** As `recordPositions`. `isShared`: other queues will ask as well, so all are found in one walk. */
  positions(queueId: number, rejectedSlots: readonly number[], isShared: boolean): readonly number[] {
    if (!isShared || rejectedSlots.length > 0) return recordPositions(this.data, queueId, rejectedSlots);
    this.#byQueue ??= positionsByQueue(this.data);
    return this.#byQueue.get(queueId) ?? NONE;
  }

  /** It is kept for longer: a view of more than so many times its size is copied. */
  own(): void {
    const { data } = this;
    if (data.buffer.byteLength > BLOCK_FACTOR_MAX * data.length) this.data = new Uint8Array(data);
  }
}

const GONE = new ReadEntry(0, 0, new Uint8Array(0));

const NONE: readonly number[] = [];

/** Small batches are encoded side by side in one block, and the one that lives long would pin all of it. */
const BLOCK_FACTOR_MAX = 4;
