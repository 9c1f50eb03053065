import { assert } from '@sluice/common/assert';
import { ByteReader } from '@sluice/common/bytes/byte-reader';
import { ByteWriter } from '@sluice/common/bytes/byte-writer';
import { BATCH_RECORDS_MAX } from '../../record/record-format.ts';
import { SettleOutcome } from '../apply/settle-cursor.ts';
import { COMMAND_HEADER_BYTES, COMMAND_VERSION, CommandKind, commandMalformed } from './command-header.ts';
import {
  type Command,
  type ConfigureQueueCommand,
  DROP_REASONS,
  type DropRowsCommand,
  type ForgetPublishersCommand,
  type QueueConfig,
  type RemoveQueueCommand,
  type SettleCommand,
} from './commands.ts';

/**
 * Everything but record batches, behind the common header. Varints unless said otherwise.
 *
 *   settle           head count, (queue id, head) each; then rows to the end of the command:
 *                    queue id, row base, range count, ranges of (u8 outcome, from - row base, length)
 *   configure-queue  u8 flags, queue id, version, name (sized), [count max], [bytes max]
 *   drop-rows        queue id, u8 reason, upper offset (0: none), count, row bases as distances
 *   remove-queue     queue id; of the kind that names it: epoch
 *   time             nothing
 *   forget-publishers  before, then to the end: client id (sized)
 */
const IS_LAST_VALUE = 1;
const HAS_COUNT_MAX = 2;
const HAS_BYTES_MAX = 4;
const DROPS_OLDEST = 8;
const ERASES_EMPTY = 16;

export function encodeCommand(command: Command): Uint8Array {
  switch (command.type) {
    case 'settle':
      return encodeSettle(command);
    case 'configure-queue':
      return encodeConfigure(command);
    case 'drop-rows':
      return encodeDropRows(command);
    case 'remove-queue':
      if (command.epoch === undefined) return header(CommandKind.REMOVE_QUEUE).varint(command.queueId).finish();
      return header(CommandKind.REMOVE_QUEUE_AS_OF).varint(command.queueId).varint(command.epoch).finish();
    case 'time':
      return header(CommandKind.TIME).finish();
    case 'forget-publishers': {
      const writer = header(CommandKind.FORGET_PUBLISHERS).varint(command.beforeMs);
      for (const clientId of command.clientIds) writer.text(clientId);
      return writer.finish();
    }
  }
}

/** What is written here is copied by `finish`. */
const scratch = new ByteWriter(64);

function header(kind: CommandKind): ByteWriter {
  return scratch.restart().u8(kind).u8(COMMAND_VERSION).u53(0);
}

function encodeSettle(command: SettleCommand): Uint8Array {
  const heads = command.heads ?? [];
  const writer = header(CommandKind.SETTLE).varint(heads.length);
  for (const { queueId, head } of heads) writer.varint(queueId).varint(head);
  for (const row of command.rows) {
    const { accepted = NONE, expired = NONE, returned = NONE } = row;
    writer.varint(row.queueId).varint(row.rowBase);
    writer.varint((accepted.length + expired.length + returned.length) / 2);
    writeRanges(writer, row.rowBase, SettleOutcome.ACCEPTED, accepted);
    writeRanges(writer, row.rowBase, SettleOutcome.EXPIRED, expired);
    writeRanges(writer, row.rowBase, SettleOutcome.RETURNED, returned);
  }
  return writer.finish();
}

const NONE: readonly number[] = [];

function writeRanges(writer: ByteWriter, rowBase: number, outcome: SettleOutcome, ranges: readonly number[]): void {
  for (let i = 0; i < ranges.length; i += 2) {
    const from = ranges[i] as number;
    const to = ranges[i + 1] as number;
    assert(from >= rowBase && to > from && to - rowBase <= BATCH_RECORDS_MAX, 'a range lies in its row');
    writer
      .u8(outcome)
      .varint(from - rowBase)
      .varint(to - from);
  }
}

function encodeConfigure(command: ConfigureQueueCommand): Uint8Array {
  const { config } = command;
  let flags = 0;
  if (config.isLastValue) flags |= IS_LAST_VALUE;
  if (config.countMax !== null) flags |= HAS_COUNT_MAX;
  if (config.bytesMax !== null) flags |= HAS_BYTES_MAX;
  if (config.overflow === 'drop_oldest') flags |= DROPS_OLDEST;
  if (config.erasesEmpty === true) flags |= ERASES_EMPTY;
  const writer = header(CommandKind.CONFIGURE_QUEUE).u8(flags);
  writer.varint(config.queueId).varint(config.version).text(config.name);
  if (config.countMax !== null) writer.varint(config.countMax);
  if (config.bytesMax !== null) writer.varint(config.bytesMax);
  return writer.finish();
}

function encodeDropRows(command: DropRowsCommand): Uint8Array {
  const writer = header(CommandKind.DROP_ROWS).varint(command.queueId);
  writer
    .u8(DROP_REASONS.indexOf(command.reason))
    .varint(command.upperOffset ?? 0)
    .varint(command.rowBases.length);
  let before = 0;
  for (const rowBase of command.rowBases) {
    assert(rowBase >= before, 'row bases ascend');
    writer.varint(rowBase - before);
    before = rowBase;
  }
  return writer.finish();
}

/** The body of a configure-queue command. */
export function decodeConfigure(bytes: Uint8Array): QueueConfig {
  const reader = body(bytes);
  const flags = reader.u8();
  if (flags > (IS_LAST_VALUE | HAS_COUNT_MAX | HAS_BYTES_MAX | DROPS_OLDEST | ERASES_EMPTY)) {
    throw commandMalformed(`configure-queue with unknown flags ${flags}`);
  }
  const config: QueueConfig = {
    queueId: reader.varint(),
    version: reader.varint(),
    name: reader.text(),
    isLastValue: (flags & IS_LAST_VALUE) !== 0,
    countMax: flags & HAS_COUNT_MAX ? reader.varint() : null,
    bytesMax: flags & HAS_BYTES_MAX ? reader.varint() : null,
    overflow: flags & DROPS_OLDEST ? 'drop_oldest' : 'refuse',
  };
  if (flags & ERASES_EMPTY) config.erasesEmpty = true;
  ended(reader);
  if (config.queueId === 0) throw commandMalformed('a queue id is positive');
  return config;
}

export function decodeDropRows(bytes: Uint8Array): DropRowsCommand {
  const reader = body(bytes);
  const queueId = reader.varint();
  const reasonCode = reader.u8();
  const reason = DROP_REASONS[reasonCode];
  if (reason === undefined) throw commandMalformed(`drop-rows for unknown reason ${reasonCode}`);
  const upperOffset = reader.varint();
  const count = reader.varint();
  const rowBases: number[] = [];
  let before = 0;
  for (let i = 0; i < count; i++) {
    before += reader.varint();
    rowBases.push(before);
  }
  ended(reader);
  const command: DropRowsCommand = { type: 'drop-rows', queueId, reason, rowBases };
  if (upperOffset !== 0) command.upperOffset = upperOffset;
  return command;
}

export function decodeRemoveQueue(bytes: Uint8Array): RemoveQueueCommand {
  const reader = body(bytes);
  const command: RemoveQueueCommand = { type: 'remove-queue', queueId: reader.varint() };
  if (bytes[0] === CommandKind.REMOVE_QUEUE_AS_OF) command.epoch = reader.varint();
  ended(reader);
  return command;
}

export function decodeForgetPublishers(bytes: Uint8Array): ForgetPublishersCommand {
  const reader = body(bytes);
  const beforeMs = reader.varint();
  const clientIds: string[] = [];
  while (reader.remaining > 0) clientIds.push(reader.text());
  return { type: 'forget-publishers', beforeMs, clientIds };
}

function body(bytes: Uint8Array): ByteReader {
  return new ByteReader(bytes, COMMAND_HEADER_BYTES);
}

function ended(reader: ByteReader): void {
  if (reader.remaining !== 0) throw commandMalformed(`${reader.remaining} bytes after the command`);
}
