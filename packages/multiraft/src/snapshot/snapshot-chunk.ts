import type { Entry } from '@sluice/raft/entry';
import { checksum } from '@sluice/storage/checksum';
import type { KeyValue } from '@sluice/storage/engine';

/** The sizes of what travels, and the sums over it: lengths are summed too, so that no byte can change sides. */
const ROWS_BYTES_MAX = 512 * 1024;
/** One larger entry goes alone. */
export const ENTRIES_BYTES_MAX = 1024 * 1024;

const head = Buffer.alloc(24);

export function rowsCrc(rows: readonly KeyValue[]): number {
  let crc = 0;
  for (const { key, value } of rows) {
    head.writeUInt32BE(key.length, 0);
    head.writeUInt32BE(value.length, 4);
    crc = checksum(value, checksum(key, checksum(head.subarray(0, 8), crc)));
  }
  return crc;
}

export function entriesCrc(entries: readonly Entry[]): number {
  let crc = 0;
  for (const { term, index, kind, data } of entries) {
    head.writeUIntBE(term, 0, 6);
    head.writeUIntBE(index, 6, 6);
    head.writeUInt8(kind, 12);
    head.writeUInt32BE(data.length, 13);
    crc = checksum(data, checksum(head.subarray(0, 17), crc));
  }
  return crc;
}

/** Rows in parts of at most `ROWS_BYTES_MAX`, a larger row alone. */
export function* rowParts(rows: readonly KeyValue[]): Generator<KeyValue[]> {
  let part: KeyValue[] = [];
  let bytes = 0;
  for (const row of rows) {
    const rowBytes = row.key.length + row.value.length;
    if (part.length > 0 && bytes + rowBytes > ROWS_BYTES_MAX) {
      yield part;
      part = [];
      bytes = 0;
    }
    part.push(row);
    bytes += rowBytes;
  }
  if (part.length > 0) yield part;
}
