import { IndexRow } from './index-row.ts';
import { indexRowKeyOf } from './row-keys.ts';

/**
 * Where the records of a queue are, for those who read it: rows come from the engine in offset order (`indexRange`),
 * and each is walked without an allocation a record:
 *
 *   for (let offset = row.nextLive(from); offset !== -1; offset = row.nextLive(offset + 1)) …
 *
 * `sizeBytesOf`, `deliveryCountOf`, `expiresAtMsOf`, `keyOf` and `n` answer for the offset at hand.
 */
export function decodeIndexRow(rowBase: number, value: Uint8Array): IndexRow {
  return new IndexRow(rowBase, value);
}

/** Of a row as a scan brings it; `key` is relative to the partition. */
export function decodeIndexEntry(key: Uint8Array, value: Uint8Array): IndexRow {
  return new IndexRow(indexRowKeyOf(key).rowBase, value);
}
