import { ByteWriter } from '@sluice/common/bytes/byte-writer';
import { readU53 } from '../record/byte-cursor.ts';
import { readerOf } from './session-rows.ts';

/** Some of the streams that a session read which is over. */
export interface PortionRow {
  clientId: string;
  streamIds: readonly number[];
}

const VERSION = 1;

/** u8 version, client id, then to the end: varint stream id. */
export function encodePortionRow({ clientId, streamIds }: PortionRow): Uint8Array {
  const writer = new ByteWriter(64 + 8 * streamIds.length).u8(VERSION).text(clientId);
  for (const streamId of streamIds) writer.varint(streamId);
  return writer.finish();
}

export function decodePortionRow(value: Uint8Array): PortionRow {
  const reader = readerOf(value, 'ending');
  const clientId = reader.text();
  const streamIds: number[] = [];
  while (reader.remaining > 0) streamIds.push(reader.varint());
  return { clientId, streamIds };
}

/** Of a row's key: whose, and which of its portions. */
export function portionOf(key: Uint8Array): { number: number; part: number } {
  return { number: readU53(key, 1), part: ((key[9] as number) << 8) | (key[10] as number) };
}
