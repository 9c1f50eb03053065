import { ByteReader } from '@sluice/common/bytes/byte-reader';
import { ByteWriter } from '@sluice/common/bytes/byte-writer';
import { SluiceError } from '@sluice/common/errors';
import { EXPIRY_NEVER_S } from './commands.ts';
import { Cursor } from './cursor.ts';

/** A session as it lies in its row. */
export interface SessionRow extends SessionHead {
  subscriptions: StoredSubscription[];
}

export interface SessionHead {
  epoch: number;
  identity: string;
  /** 0: disconnected. */
  gateway: number;
  /** Connected or disconnected since, by the partition's time. */
  sinceMs: number;
  expiryS: number;
  /** Of the CONNECT that has it, or had it last; 0: none was drawn. */
  ticket: number;
  /** It was there when that CONNECT came. */
  wasPresent: boolean;
  /** Its last gateway left no word of what it had sent. Of one that is connected: false. */
  isUnsure: boolean;
}

export interface StoredSubscription {
  filter: string;
  options: number;
  subscriptionId: number;
  /** 0: no messages are kept for it. */
  streamId: number;
}

export interface ConnectedRow {
  epoch: number;
  gateway: number;
}

export interface StreamRow {
  filter: string;
  sessions: number;
}

export interface NumbersRow {
  /** Given last, as an epoch or in the id of a stream. */
  last: number;
  sessions: number;
}

const VERSION = 1;
/** Of a session whose CONNECT has a ticket. */
const VERSION_OF_TICKETS = 2;
/** Of one that was left unsure. */
const VERSION_OF_UNSURE = 3;

/**
 * u8 version, then varints: epoch, identity, gateway, since, expiry, [from version 2 on: ticket, u8 was present], then to
 * the end: u8 options, id, stream id, filter. Version 3 says that it is unsure.
 */
export function encodeSessionRow(row: SessionRow): Uint8Array {
  const sure = row.ticket === 0 ? VERSION : VERSION_OF_TICKETS;
  const version = row.isUnsure ? VERSION_OF_UNSURE : sure;
  const writer = new ByteWriter(128).u8(version).varint(row.epoch).text(row.identity).varint(row.gateway);
  writer.varint(row.sinceMs).varint(row.expiryS);
  if (version !== VERSION) writer.varint(row.ticket).u8(row.wasPresent ? 1 : 0);
  for (const { filter, options, subscriptionId, streamId } of row.subscriptions) {
    writer.u8(options).varint(subscriptionId).varint(streamId).text(filter);
  }
  return writer.finish();
}

export function decodeSessionRow(value: Uint8Array): SessionRow {
  const reader = readerOf(value, 'session', VERSION_OF_UNSURE);
  const head = readHead(reader, value[0]);
  const subscriptions: StoredSubscription[] = [];
  while (reader.remaining > 0) {
    const options = reader.u8();
    const subscriptionId = reader.varint();
    const streamId = reader.varint();
    subscriptions.push({ filter: reader.text(), options, subscriptionId, streamId });
  }
  return { ...head, subscriptions };
}

/** Without its subscriptions, of which there may be a thousand. */
export function decodeSessionHead(value: Uint8Array): SessionHead {
  return readHead(readerOf(value, 'session', VERSION_OF_UNSURE), value[0]);
}

function readHead(reader: ByteReader, version: number | undefined): SessionHead {
  const hasTicket = version !== VERSION;
  const epoch = reader.varint();
  const identity = reader.text();
  const gateway = reader.varint();
  const sinceMs = reader.varint();
  const expiryS = reader.varint();
  const ticket = hasTicket ? reader.varint() : 0;
  const wasPresent = hasTicket ? reader.u8() !== 0 : true;
  const isUnsure = version === VERSION_OF_UNSURE;
  return { epoch, identity, gateway, sinceMs, expiryS, ticket, wasPresent, isUnsure };
}

/** Its client has been away for as long as it may. */
export function isExpired({ gateway, sinceMs, expiryS }: SessionHead, nowMs: number): boolean {
  return gateway === 0 && expiryS !== EXPIRY_NEVER_S && sinceMs + expiryS * 1000 <= nowMs;
}

export function encodeConnectedRow({ epoch, gateway }: ConnectedRow): Uint8Array {
  return new ByteWriter(16).u8(VERSION).varint(epoch).varint(gateway).finish();
}

export function decodeConnectedRow(value: Uint8Array): ConnectedRow {
  const reader = readerOf(value, 'connection');
  return { epoch: reader.varint(), gateway: reader.varint() };
}

/** u8 version, varint next, then to the end: distance from the end of what was before, length. */
export function encodeCursorRow({ next, ranges }: Cursor): Uint8Array {
  const writer = new ByteWriter(16).u8(VERSION).varint(next);
  let end = next;
  for (let i = 0; i < ranges.length; i += 2) {
    const from = ranges[i] as number;
    const to = ranges[i + 1] as number;
    writer.varint(from - end).varint(to - from);
    end = to;
  }
  return writer.finish();
}

export function decodeCursorRow(value: Uint8Array): Cursor {
  const reader = readerOf(value, 'cursor');
  const cursor = new Cursor(reader.varint());
  let end = cursor.next;
  while (reader.remaining > 0) {
    const from = end + reader.varint();
    end = from + reader.varint();
    cursor.ranges.push(from, end);
  }
  return cursor;
}

export function encodeStreamRow({ filter, sessions }: StreamRow): Uint8Array {
  return new ByteWriter(64).u8(VERSION).varint(sessions).text(filter).finish();
}

export function decodeStreamRow(value: Uint8Array): StreamRow {
  const reader = readerOf(value, 'stream');
  const sessions = reader.varint();
  return { filter: reader.text(), sessions };
}

export function encodeNumbersRow({ last, sessions }: NumbersRow): Uint8Array {
  return new ByteWriter(16).u8(VERSION).varint(last).varint(sessions).finish();
}

export function decodeNumbersRow(value: Uint8Array): NumbersRow {
  const reader = readerOf(value, 'numbers');
  return { last: reader.varint(), sessions: reader.varint() };
}

/** @throws SluiceError for a row of a newer release. */
export function readerOf(value: Uint8Array, what: string, newest: number = VERSION): ByteReader {
  const reader = new ByteReader(value);
  const version = reader.u8();
  if (version < VERSION || version > newest) {
    throw new SluiceError('ROW_UNKNOWN', `${what} row of version ${version}`, {
      hint: 'this node runs an older release than the one that wrote its data: upgrade it',
    });
  }
  return reader;
}
