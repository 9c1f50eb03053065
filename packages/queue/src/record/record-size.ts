import { varintBytes } from './byte-cursor.ts';
import type { RecordInput } from './record.ts';
import { propertiesBytes } from './record-properties.ts';

/**
 * Whether the record, encoded, is larger than `bytesMax`. Nothing is encoded for it, and texts are only measured when their
 * lengths leave it open.
 */
export function isRecordLarger(record: RecordInput, bytesMax: number): boolean {
  return recordBytes(record, textBytesMax) > bytesMax && recordBytes(record, Buffer.byteLength) > bytesMax;
}

/** A UTF-16 unit takes at most three bytes of UTF-8. */
export function textBytesMax(text: string): number {
  return text.length * 3;
}

/** As a batch has it (`record-format`). */
function recordBytes(record: RecordInput, textBytes: (text: string) => number): number {
  const { targets, properties } = record;
  let bytes = 4 + 1 + 8 + (record.expiresAtMs === 0 ? 0 : 8) + (record.exchange === undefined ? 0 : 16);
  bytes += varintBytes(targets.length);
  for (const { queueId, key } of targets) {
    bytes += varintBytes(queueId) + (key === undefined ? 1 : varintBytes(key.length + 1) + key.length);
  }
  bytes += 2 + textBytes(record.publisher) + 2 + textBytes(record.topic);
  if (properties !== undefined) bytes += 4 + propertiesBytes(properties, textBytes);
  return bytes + record.payload.length;
}
