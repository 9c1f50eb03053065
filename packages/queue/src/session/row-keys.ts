import { writeU53 } from '../record/byte-cursor.ts';

/**
 * Rows of a partition's sessions, beside those of its queues. A letter is never given to anything else.
 *
 * 'S' client id             session: who, epoch, expiry, connected where or disconnected since when, subscriptions
 * 'C' client id             connected now: epoch and gateway, so that a new leader need not read all sessions
 * 'U' stream id, client id  what the session has received of the stream
 * 'X' client id             packet ids of unfinished exchanges; no row: there are none
 * 'F' stream id             the filter that feeds the stream, and how many sessions read it
 * 'N'                       the numbers given last, and how many sessions there are
 * 'W' client id             the will of its last connection, while it can still become due
 * 'Y' will number           what the will says
 * 'D' will number           due, and not known to be published
 * 'G'                       the wills that are being published, and by whom
 * 'Z' epoch, part           of a session that is over: streams that it is still to be taken out of
 */
export const SessionTable = {
  SESSION: 0x53,
  CONNECTED: 0x43,
  CURSOR: 0x55,
  STREAM: 0x46,
  NUMBERS: 0x4e,
  EXCHANGES: 0x58,
  WILL: 0x57,
  WILL_MESSAGE: 0x59,
  DUE_WILL: 0x44,
  WILL_GROUP: 0x47,
  PORTION: 0x5a,
} as const;

export function sessionRowKey(clientId: string): Uint8Array {
  return clientKey(SessionTable.SESSION, clientId);
}

export function connectedRowKey(clientId: string): Uint8Array {
  return clientKey(SessionTable.CONNECTED, clientId);
}

export function exchangeRowKey(clientId: string): Uint8Array {
  return clientKey(SessionTable.EXCHANGES, clientId);
}

export function cursorRowKey(streamId: number, clientId: string): Uint8Array {
  const id = Buffer.from(clientId, 'utf8');
  const key = new Uint8Array(9 + id.length);
  key[0] = SessionTable.CURSOR;
  writeU53(key, 1, streamId);
  key.set(id, 9);
  return key;
}

/** [from, to) of the cursors of a stream. */
export function cursorRange(streamId: number): { from: Uint8Array; to: Uint8Array } {
  return { from: cursorRowKey(streamId, ''), to: cursorRowKey(streamId + 1, '') };
}

export function streamRowKey(streamId: number): Uint8Array {
  return numberKey(SessionTable.STREAM, streamId);
}

export function willRowKey(clientId: string): Uint8Array {
  return clientKey(SessionTable.WILL, clientId);
}

export function willMessageRowKey(number: number): Uint8Array {
  return numberKey(SessionTable.WILL_MESSAGE, number);
}

export function dueWillRowKey(number: number): Uint8Array {
  return numberKey(SessionTable.DUE_WILL, number);
}

export function willGroupRowKey(): Uint8Array {
  return Uint8Array.of(SessionTable.WILL_GROUP);
}

export function portionRowKey(number: number, part: number): Uint8Array {
  const key = new Uint8Array(11);
  key[0] = SessionTable.PORTION;
  writeU53(key, 1, number);
  key[9] = part >>> 8;
  key[10] = part & 0xff;
  return key;
}

export function numbersRowKey(): Uint8Array {
  return Uint8Array.of(SessionTable.NUMBERS);
}

/** [from, to) of all sessions. */
export const SESSION_RANGE = tableRange(SessionTable.SESSION);

/** [from, to) of what sessions have unfinished. */
export const EXCHANGE_RANGE = tableRange(SessionTable.EXCHANGES);

/** [from, to) of everything `SessionMachine.restore` reads: not the sessions, their exchanges and cursors, or what wills say. */
export const SESSION_RESIDENT_RANGES: readonly { from: Uint8Array; to: Uint8Array }[] = [
  tableRange(SessionTable.CONNECTED),
  tableRange(SessionTable.STREAM),
  tableRange(SessionTable.NUMBERS),
  tableRange(SessionTable.WILL),
  tableRange(SessionTable.DUE_WILL),
  tableRange(SessionTable.WILL_GROUP),
  tableRange(SessionTable.PORTION),
];

export function clientIdOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset + 1, key.byteLength - 1).toString('utf8');
}

function tableRange(table: number): { from: Uint8Array; to: Uint8Array } {
  return { from: Uint8Array.of(table), to: Uint8Array.of(table + 1) };
}

function clientKey(table: number, clientId: string): Uint8Array {
  const id = Buffer.from(clientId, 'utf8');
  const key = new Uint8Array(1 + id.length);
  key[0] = table;
  key.set(id, 1);
  return key;
}

function numberKey(table: number, number: number): Uint8Array {
  const key = new Uint8Array(9);
  key[0] = table;
  writeU53(key, 1, number);
  return key;
}
