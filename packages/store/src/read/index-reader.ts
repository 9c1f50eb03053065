import { groupKey } from '@sluice/multiraft/disk/keyspace';
import { decodeEntryRow } from '@sluice/queue/machine/row/entry-row';
import { appendedAtMsOf, type IndexRow } from '@sluice/queue/machine/row/index-row';
import { decodeKeyRow, type KeyRow } from '@sluice/queue/machine/row/key-row';
import { decodeIndexEntry, decodeIndexRow } from '@sluice/queue/machine/row/offset-index';
import {
  entryIndexOf,
  entryRowKey,
  indexRange,
  indexRowKey,
  indexRowKeyOnce,
  keyRowKey,
} from '@sluice/queue/machine/row/row-keys';
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
    const value = this.#recentRow(indexRowKeyOnce(queueId, rowBase));
    return value === undefined ? undefined : decodeIndexRow(rowBase, value);
  }

  /**
   * Index rows of a queue from a row base on, ascending. Seek at the known head: before it lie only tombstones. Those are
   * decoded that hold `recordsMax` records together, and the first.
   */
  async rowsFrom(
    queueId: number,
    rowBase: number,
    limit: number,
    recordsMax = Number.POSITIVE_INFINITY,
  ): Promise<IndexRow[]> {
    const range = indexRange(queueId, rowBase);
    const rows = await this.#engine.scan(groupKey(this.#groupId, range.from), groupKey(this.#groupId, range.to), limit);
    const decoded: IndexRow[] = [];
    let records = 0;
    for (const { key, value } of rows) {
      const row = decodeIndexEntry(key.subarray(2), value);
      records += row.count;
      if (records > recordsMax && decoded.length > 0) break;
      decoded.push(row);
    }
    return decoded;
  }

  /**
   * When the oldest live record of each of these queues was appended; 0 where no row is found. One read for all of them,
   * but for those whose rows ended out of order.
   */
  async oldestStamps(queues: readonly { queueId: number; head: number }[]): Promise<number[]> {
    const stamps: number[] = [];
    const missing: number[] = [];
    const keys: Uint8Array[] = [];
    for (const [i, { queueId, head }] of queues.entries()) {
      const key = indexRowKey(queueId, head);
      const recent = this.#recentRow(key);
      stamps.push(recent === undefined ? 0 : appendedAtMsOf(recent));
      if (recent !== undefined) continue;
      missing.push(i);
      keys.push(groupKey(this.#groupId, key));
    }
    if (keys.length === 0) return stamps;
    const values = await this.#engine.getMany(keys);
    for (const [k, i] of missing.entries()) {
      const value = values[k];
      const { queueId, head } = queues[i] as { queueId: number; head: number };
      stamps[i] =
        value === undefined ? ((await this.rowsFrom(queueId, head, 1))[0]?.appendedAtMs ?? 0) : appendedAtMsOf(value);
    }
    return stamps;
  }

  async row(queueId: number, rowBase: number): Promise<IndexRow | undefined> {
    const value = await this.#engine.get(groupKey(this.#groupId, indexRowKey(queueId, rowBase)));
    return value === undefined ? undefined : decodeIndexRow(rowBase, value);
  }

  /** Rows of a queue by their bases, those that are there, in one read. */
  async rows(queueId: number, rowBases: readonly number[]): Promise<Map<number, IndexRow>> {
    const keys = rowBases.map((rowBase) => groupKey(this.#groupId, indexRowKey(queueId, rowBase)));
    const values = await this.#engine.getMany(keys);
    const rows = new Map<number, IndexRow>();
    for (const [i, rowBase] of rowBases.entries()) {
      const value = values[i];
      if (value !== undefined) rows.set(rowBase, decodeIndexRow(rowBase, value));
    }
    return rows;
  }

  /** Where the live record of a last-value key is. */
  async key(queueId: number, key: Uint8Array): Promise<KeyRow | undefined> {
    const value = await this.#engine.get(groupKey(this.#groupId, keyRowKey(queueId, key)));
    return value === undefined ? undefined : decodeKeyRow(value);
  }

  /** Live keys that begin with `prefix`, behind `after`, ascending bytewise. A prefix is of whole levels of a topic. */
  async keysFrom(queueId: number, prefix: Uint8Array, after: Uint8Array, limit: number): Promise<KeyedPlace[]> {
    const range = levelRange(queueId, prefix);
    const from = after.length === 0 ? range.from : behind(keyRowKey(queueId, after));
    const rows = await this.#engine.scan(groupKey(this.#groupId, from), groupKey(this.#groupId, range.to), limit);
    return rows.map(({ key, value }) => ({ key: key.slice(2 + KEY_AT), ...decodeKeyRow(value) }));
  }

  /** Entries in [first, last] that still hold live records. */
  async liveEntries(first: number, last: number, limit: number): Promise<{ index: number; bytes: number }[]> {
    const from = groupKey(this.#groupId, entryRowKey(first));
    const to = groupKey(this.#groupId, entryRowKey(last + 1));
    const rows = await this.#engine.scan(from, to, limit);
    return rows.map(({ key, value }) => ({ index: entryIndexOf(key.subarray(2)), bytes: decodeEntryRow(value).bytes }));
  }
}

export interface KeyedPlace extends KeyRow {
  key: Uint8Array;
}

/** Of a key row, before its key: the table and the queue. */
const KEY_AT = 9;
const SLASH = 0x2f;

/** [from, to): the topic `prefix`, and all below it; those below it when it ends with a slash; all for an empty one. */
function levelRange(queueId: number, prefix: Uint8Array): { from: Uint8Array; to: Uint8Array } {
  const from = keyRowKey(queueId, prefix);
  if (prefix.length === 0) return { from, to: keyRowKey(queueId + 1, prefix) };
  const length = from[from.length - 1] === SLASH ? from.length - 1 : from.length;
  const to = new Uint8Array(length + 1);
  to.set(from.subarray(0, length));
  to[length] = SLASH + 1;
  return { from, to };
}

function behind(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}
