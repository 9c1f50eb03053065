import { ByteReader } from '@sluice/common/bytes/byte-reader';
import { ByteWriter } from '@sluice/common/bytes/byte-writer';
import { SluiceError } from '@sluice/common/errors';

/**
 * Which QoS 2 publishes of one client the queues of this partition have taken, so that one that is brought again, by
 * whatever gateway, is taken by each queue once. Only what may still be brought again is remembered: a publish says the
 * lowest number of its client that is not over, and what lies below it is forgotten, and never taken any more.
 */
export interface PublisherRow {
  /** By the partition's time, of the last publish. */
  seenMs: number;
  /** Numbers below it are over. */
  floor: number;
  /** From `floor` on: number of the exchange, and the queues that took it. */
  readonly taken: Map<number, number[]>;
}

export function isTaken({ floor, taken }: PublisherRow, number: number, queueId: number): boolean {
  return number < floor || taken.get(number)?.includes(queueId) === true;
}

export function raiseFloor(row: PublisherRow, floor: number): void {
  if (floor <= row.floor) return;
  row.floor = floor;
  for (const number of row.taken.keys()) if (number < floor) row.taken.delete(number);
}

const VERSION = 1;

/** u8 version, then varints: seen at, floor; then to the end: number - floor, count of queues, queue ids. */
export function encodePublisherRow({ seenMs, floor, taken }: PublisherRow): Uint8Array {
  const writer = new ByteWriter(32).u8(VERSION).varint(seenMs).varint(floor);
  for (const [number, queueIds] of taken) {
    writer.varint(number - floor).varint(queueIds.length);
    for (const queueId of queueIds) writer.varint(queueId);
  }
  return writer.finish();
}

export function decodePublisherRow(value: Uint8Array): PublisherRow {
  const reader = new ByteReader(value);
  const version = reader.u8();
  if (version !== VERSION) {
    throw new SluiceError('ROW_UNKNOWN', `publisher row of version ${version}`, {
      hint: 'this node runs an older release than the one that wrote its data: upgrade it',
    });
  }
  const row: PublisherRow = { seenMs: reader.varint(), floor: reader.varint(), taken: new Map() };
  while (reader.remaining > 0) {
    const number = row.floor + reader.varint();
    const queueIds: number[] = [];
    for (let left = reader.varint(); left > 0; left--) queueIds.push(reader.varint());
    row.taken.set(number, queueIds);
  }
  return row;
}
