import { assert } from '@sluice/common/assert';
import { SluiceError } from '@sluice/common/errors';
import { readU53, writeU53 } from '../../record/byte-cursor.ts';

/** What an entry asks of the machine: its first byte. Numbers are never reused. */
export const CommandKind = {
  RECORD_BATCH: 1,
  SETTLE: 2,
  CONFIGURE_QUEUE: 3,
  DROP_ROWS: 4,
  REMOVE_QUEUE: 5,
  TIME: 6,
  FORGET_PUBLISHERS: 7,
  /** As `REMOVE_QUEUE`, by an image whose epoch it names. */
  REMOVE_QUEUE_AS_OF: 8,
} as const;
export type CommandKind = (typeof CommandKind)[keyof typeof CommandKind];

/** u8 kind, u8 version, u53 stamp: the head of every command. */
export const COMMAND_HEADER_BYTES = 10;
export const COMMAND_VERSION = 1;
const STAMP_AT = 2;

/**
 * The leader's clock enters a command where it is proposed, in place: the bytes a gateway encoded are those that reach
 * the log. Only the proposer may call it, and only before the proposal.
 */
export function stampCommand(bytes: Uint8Array, nowMs: number): void {
  assert(bytes.length >= COMMAND_HEADER_BYTES, 'a command has a header');
  assert(Number.isSafeInteger(nowMs) && nowMs >= 0, 'a stamp is a time in whole milliseconds');
  writeU53(bytes, STAMP_AT, nowMs);
}

export function stampOf(bytes: Uint8Array): number {
  if (bytes.length < COMMAND_HEADER_BYTES) throw commandMalformed(`a command of ${bytes.length} bytes has no header`);
  const stampMs = readU53(bytes, STAMP_AT);
  if (stampMs > Number.MAX_SAFE_INTEGER) throw commandMalformed('the stamp exceeds 2^53 - 1');
  return stampMs;
}

/** Writes the head with an empty stamp; returns where the body begins. */
export function writeCommandHeader(bytes: Uint8Array, kind: CommandKind): number {
  bytes[0] = kind;
  bytes[1] = COMMAND_VERSION;
  return writeU53(bytes, STAMP_AT, 0);
}

/** A command of a newer Sluice, or none at all. Whoever meets it must stop: to guess would fork the replicas. */
export function assertCommandKnown(bytes: Uint8Array): void {
  if (bytes.length < COMMAND_HEADER_BYTES) throw commandMalformed(`a command of ${bytes.length} bytes has no header`);
  const kind = bytes[0] as number;
  if (kind < CommandKind.RECORD_BATCH || kind > CommandKind.REMOVE_QUEUE_AS_OF || bytes[1] !== COMMAND_VERSION) {
    throw new SluiceError('COMMAND_UNKNOWN', `command kind ${kind} version ${bytes[1]} is not known here`, {
      hint: 'this node runs an older release than the one that wrote the log: upgrade it',
    });
  }
}

export function commandMalformed(message: string): SluiceError {
  return new SluiceError('COMMAND_MALFORMED', message);
}
