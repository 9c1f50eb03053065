import { groupKey } from '@sluice/multiraft/keyspace';
import { decodeEntryRow } from '@sluice/queue/machine/entry-row';
import type { IndexRow } from '@sluice/queue/machine/index-row';
import { decodeIndexEntry, decodeIndexRow } from '@sluice/queue/machine/offset-index';
import { entryIndexOf, entryRowKey, indexRange, indexRowKey } from '@sluice/queue/machine/row-keys';
import type { Engine } from '@sluice/storage/engine';

/** Reads a partition's rows outside of an apply: for dispatch, sweeping and questions. What it returns is a copy. */
export class IndexReader {
  readonly #engine: Engine;
  readonly #groupId: number;
  readonly #recentRow: (key: Uint8Array) => Uint8Array | undefined;

  constructor(engine: Engine, groupId: number, recentRow: (key: Uint8Array) => Uint8Array | undefined) {
    this.#engine = engine;
    this.#groupId = groupId;
    this.#recentRow = recentRow;
  }

  /** A row that was written lately, from memory; undefined says nothing about it. */
  recent(queueId: number, rowBase: number): IndexRow | undefined {
    const value = this.#recentRow(indexRowKey(queueId, rowBase));
    return value === undefined ? undefined : decodeIndexRow(rowBase, value);
  }

  /** Index rows of a queue from a row base on, ascending. Seek at the known head: before it lie only tombstones. */
  async rowsFrom(queueId: number, rowBase: number, limit: number): Promise<IndexRow[]> {
    const range = indexRange(queueId, rowBase);
    const rows = await this.#engine.scan(groupKey(this.#groupId, range.from), groupKey(this.#groupId, range.to), limit);
    return rows.map(({ key, value }) => decodeIndexEntry(key.subarray(2), value));
  }

  async row(queueId: number, rowBase: number): Promise<IndexRow | undefined> {
    const value = await this.#engine.get(groupKey(this.#groupId, indexRowKey(queueId, rowBase)));
    return value === undefined ? undefined : decodeIndexRow(rowBase, value);
  }

  /** Entries in [first, last] that still hold live records. */
  async liveEntries(first: number, last: number, limit: number): Promise<{ index: number; bytes: number }[]> {
    const from = groupKey(this.#groupId, entryRowKey(first));
    const to = groupKey(this.#groupId, entryRowKey(last + 1));
    const rows = await this.#engine.scan(from, to, limit);
    return rows.map(({ key, value }) => ({ index: entryIndexOf(key.subarray(2)), bytes: decodeEntryRow(value).bytes }));
  }
}
