import { ByteCursor, varintBytes, writeVarint } from '../../record/byte-cursor.ts';

/**
 * An entry may feed many queues; it is dead once no index row refers to it. Counted in rows and not in records, the
 * entry row is touched when an index row ends, not at each settlement. An entry with a single index row is known by
 * that row alone and its entry row is never read: it is there for the census of live entries.
 */
export interface EntryRow {
  rowCount: number;
  bytes: number;
}

const scratch = new ByteCursor();

export function encodeEntryRow(rowCount: number, bytes: number): Uint8Array {
  const value = new Uint8Array(varintBytes(rowCount) + varintBytes(bytes));
  writeVarint(value, writeVarint(value, 0, rowCount), bytes);
  return value;
}

export function decodeEntryRow(value: Uint8Array): EntryRow {
  scratch.reset(value);
  return { rowCount: scratch.varint(), bytes: scratch.varint() };
}
