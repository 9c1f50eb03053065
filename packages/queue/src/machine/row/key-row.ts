import { ByteCursor, varintBytes, writeVarint } from '../../record/byte-cursor.ts';

/**
 * Where the live record of a last-value key is. The entry stands here too, so that everything its end may touch is
 * known from this row and can be fetched together.
 */
export interface KeyRow {
  rowBase: number;
  offset: number;
  entryIndex: number;
}

const scratch = new ByteCursor();

export function encodeKeyRow(rowBase: number, offset: number, entryIndex: number): Uint8Array {
  const value = new Uint8Array(varintBytes(rowBase) + varintBytes(offset - rowBase) + varintBytes(entryIndex));
  let at = writeVarint(value, 0, rowBase);
  at = writeVarint(value, at, offset - rowBase);
  writeVarint(value, at, entryIndex);
  return value;
}

export function decodeKeyRow(value: Uint8Array): KeyRow {
  scratch.reset(value);
  const rowBase = scratch.varint();
  return { rowBase, offset: rowBase + scratch.varint(), entryIndex: scratch.varint() };
}
