import { SluiceError } from '@sluice/common/errors';
import { readU53, writeU53 } from '../../record/byte-cursor.ts';

/**
 * Every row of a partition, relative to the partition. Integers are 8 bytes, big-endian, so rows of a queue lie
 * together and in offset order.
 *
 * 'B' queue id, base offset   index row: which entry holds the records [base, base + count) of the queue, what is live
 * 'K' queue id, key           last-value queues: where the live record of the key is
 * 'E' entry index             how many index rows still refer to the entry, and its size
 * 'Q' queue id                configuration and counters of the queue
 * 'P' producer                which of its batches are in the log, and what was answered to those
 * 'L' client id               which QoS 2 publishes of this client were taken by which queues
 * 'M'                         time of the partition, version of its rows
 */
export const RowTable = {
  INDEX: 0x42,
  KEY: 0x4b,
  ENTRY: 0x45,
  QUEUE: 0x51,
  PRODUCER: 0x50,
  PUBLISHER: 0x4c,
  MACHINE: 0x4d,
} as const;
export type RowTable = (typeof RowTable)[keyof typeof RowTable];

const INDEX_KEY_BYTES = 17;
const TABLE_KEY_BYTES = 9;
const indexKeyOnce = new Uint8Array(INDEX_KEY_BYTES);
const tableKeyOnce = new Uint8Array(TABLE_KEY_BYTES);

export function indexRowKey(queueId: number, rowBase: number): Uint8Array {
  return writeIndexRowKey(new Uint8Array(INDEX_KEY_BYTES), queueId, rowBase);
}

/**
 * As `indexRowKey`, for who names a row to `Rows` and keeps nothing: the bytes are written over by the next call. A queue's
 * message names half a dozen rows, and an array of its own would be two hundred bytes for each.
 */
export function indexRowKeyOnce(queueId: number, rowBase: number): Uint8Array {
  return writeIndexRowKey(indexKeyOnce, queueId, rowBase);
}

function writeIndexRowKey(key: Uint8Array, queueId: number, rowBase: number): Uint8Array {
  key[0] = RowTable.INDEX;
  writeU53(key, 1, queueId);
  writeU53(key, 9, rowBase);
  return key;
}

export function keyRowKey(queueId: number, key: Uint8Array): Uint8Array {
  const full = new Uint8Array(9 + key.length);
  full[0] = RowTable.KEY;
  writeU53(full, 1, queueId);
  full.set(key, 9);
  return full;
}

export function entryRowKey(entryIndex: number): Uint8Array {
  return tableKey(RowTable.ENTRY, entryIndex);
}

export function entryRowKeyOnce(entryIndex: number): Uint8Array {
  return writeTableKey(tableKeyOnce, RowTable.ENTRY, entryIndex);
}

export function queueRowKeyOnce(queueId: number): Uint8Array {
  return writeTableKey(tableKeyOnce, RowTable.QUEUE, queueId);
}

export function producerRowKey(producer: number): Uint8Array {
  return tableKey(RowTable.PRODUCER, producer);
}

export function producerRowKeyOnce(producer: number): Uint8Array {
  return writeTableKey(tableKeyOnce, RowTable.PRODUCER, producer);
}

/** Of the client id, as UTF-8. */
export function publisherRowKey(publisher: Uint8Array): Uint8Array {
  const key = new Uint8Array(1 + publisher.length);
  key[0] = RowTable.PUBLISHER;
  key.set(publisher, 1);
  return key;
}

/** [from, to) of all publishers; `clientIdOf` a key of theirs. */
export const PUBLISHER_RANGE = { from: Uint8Array.of(RowTable.PUBLISHER), to: Uint8Array.of(RowTable.PUBLISHER + 1) };

export function machineRowKey(): Uint8Array {
  return MACHINE_ROW_KEY;
}

const MACHINE_ROW_KEY = Uint8Array.of(RowTable.MACHINE);

/** [from, to) of a queue's index rows whose base is at least `fromOffset`: seek at the known head, never before it. */
export function indexRange(queueId: number, fromOffset: number): { from: Uint8Array; to: Uint8Array } {
  return { from: indexRowKey(queueId, fromOffset), to: indexRowKey(queueId + 1, 0) };
}

/** [from, to) of everything `QueueMachine.restore` reads. */
export const RESIDENT_RANGES: readonly { from: Uint8Array; to: Uint8Array }[] = [
  { from: Uint8Array.of(RowTable.MACHINE), to: Uint8Array.of(RowTable.MACHINE + 1) },
  { from: Uint8Array.of(RowTable.PRODUCER), to: Uint8Array.of(RowTable.PRODUCER + 1) },
  { from: Uint8Array.of(RowTable.QUEUE), to: Uint8Array.of(RowTable.QUEUE + 1) },
];

export function tableOf(key: Uint8Array): RowTable {
  const table = key[0];
  for (const known of Object.values(RowTable)) {
    if (known === table) return known;
  }
  throw new SluiceError('ROW_UNKNOWN', `no row of this machine begins with byte ${table}`, {
    hint: 'this node runs an older release than the one that wrote its data: upgrade it',
  });
}

export function indexRowKeyOf(key: Uint8Array): { queueId: number; rowBase: number } {
  return { queueId: readU53(key, 1), rowBase: readU53(key, 9) };
}

/** The entry that a row of a partition keeps alive; undefined of rows that keep none. */
export function liveEntryOf(key: Uint8Array): number | undefined {
  return key[0] === RowTable.ENTRY ? entryIndexOf(key) : undefined;
}

export function entryIndexOf(key: Uint8Array): number {
  return readU53(key, 1);
}

function tableKey(table: RowTable, id: number): Uint8Array {
  return writeTableKey(new Uint8Array(TABLE_KEY_BYTES), table, id);
}

function writeTableKey(key: Uint8Array, table: RowTable, id: number): Uint8Array {
  key[0] = table;
  writeU53(key, 1, id);
  return key;
}
