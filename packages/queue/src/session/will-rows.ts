import { ByteWriter } from '@sluice/common/bytes/byte-writer';
import { readerOf } from './session-rows.ts';

/** The will of a client's last connection, as long as it can still become due. */
export interface WillRow {
  /** The epoch of that connection: nobody else's will has it. */
  number: number;
  delayS: number;
  /** By the partition's time; 0 while the client is connected. */
  dueAtMs: number;
  /** Which CONNECT left it, and whether that found a session. */
  ticket: number;
  isPresent: boolean;
  /** Of its message. */
  bytes: number;
}

/** A will that is due and not known to be published. */
export interface DueWill {
  readonly clientId: string;
  /** Of its message. */
  readonly bytes: number;
}

/** What is being published, and who does it. */
export interface WillGroup {
  readonly number: number;
  readonly gateway: number;
  readonly wills: readonly number[];
}

const VERSION = 1;

/** u8 version, u8 whether there was a session, then varints: number, delay, due at, ticket, bytes. */
export function encodeWillRow({ number, delayS, dueAtMs, ticket, isPresent, bytes }: WillRow): Uint8Array {
  const writer = new ByteWriter(32)
    .u8(VERSION)
    .u8(isPresent ? 1 : 0)
    .varint(number)
    .varint(delayS);
  return writer.varint(dueAtMs).varint(ticket).varint(bytes).finish();
}

export function decodeWillRow(value: Uint8Array): WillRow {
  const reader = readerOf(value, 'will');
  const isPresent = reader.u8() === 1;
  const number = reader.varint();
  const delayS = reader.varint();
  const dueAtMs = reader.varint();
  const ticket = reader.varint();
  return { number, delayS, dueAtMs, ticket, isPresent, bytes: reader.varint() };
}

/** u8 version, varint bytes, client id. */
export function encodeDueWillRow({ clientId, bytes }: DueWill): Uint8Array {
  return new ByteWriter(64).u8(VERSION).varint(bytes).text(clientId).finish();
}

export function decodeDueWillRow(value: Uint8Array): DueWill {
  const reader = readerOf(value, 'due will');
  const bytes = reader.varint();
  return { bytes, clientId: reader.text() };
}

/** u8 version, then varints: number, gateway, and to the end the wills. */
export function encodeWillGroupRow({ number, gateway, wills }: WillGroup): Uint8Array {
  const writer = new ByteWriter(64).u8(VERSION).varint(number).varint(gateway);
  for (const will of wills) writer.varint(will);
  return writer.finish();
}

export function decodeWillGroupRow(value: Uint8Array): WillGroup {
  const reader = readerOf(value, 'will group');
  const number = reader.varint();
  const gateway = reader.varint();
  const wills: number[] = [];
  while (reader.remaining > 0) wills.push(reader.varint());
  return { number, gateway, wills };
}
