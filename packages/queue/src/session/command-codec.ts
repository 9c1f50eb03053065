import { ByteReader } from '@sluice/common/bytes/byte-reader';
import { ByteWriter } from '@sluice/common/bytes/byte-writer';
import { SluiceError } from '@sluice/common/errors';
import { COMMAND_HEADER_BYTES } from '../machine/command/command-header.ts';
import type {
  CloseCommand,
  ExchangeStep,
  LeftWill,
  OpenCommand,
  Pass,
  SessionCommand,
  SubscribeCommand,
  SubscriptionRequest,
} from './commands.ts';

/** The first byte of a command, in the range that partitions give to sessions. Numbers are never reused. */
export const SessionCommandKind = {
  OPEN: 32,
  SUBSCRIBE: 33,
  UNSUBSCRIBE: 34,
  PASS: 35,
  CLOSE: 36,
  EXPIRE: 37,
  END_PORTION: 38,
  EXCHANGE: 40,
  FIRE_WILLS: 48,
  CLAIM_WILLS: 49,
  END_WILLS: 50,
} as const;

const VERSION = 1;
/** Of an open that leaves a will and a close that takes it back: an older release must not take them for others. */
const VERSION_OF_WILLS = 2;
/** Of an open whose CONNECT has a ticket. */
const VERSION_OF_TICKETS = 3;
/** Of a close that leaves it open what was sent. */
const VERSION_OF_UNSURE = 3;
/** Of an open and a close that end a session in portions, and of such an expire. */
const VERSION_OF_PORTIONS = 4;
const VERSION_OF_EXPIRE_IN_PORTIONS = 2;
const MACHINE_VERSION_OF_PORTIONS = 9;
/** Flags of `open` and of a subscription, and whether a close says anything of the expiry. */
const CLEAN_START = 1;
const HAS_WILL = 2;
const IS_STORED = 1;
const HAS_EXPIRY = 1;
const TAKES_WILL_BACK = 2;
const LEAVES_UNSURE = 4;
const HAS_COUNT_MAX = 1;
const HAS_BYTES_MAX = 2;
/** Numbers are never reused. */
const STEPS: readonly ExchangeStep['type'][] = ['take', 'release', 'bind', 'receive', 'finish', 'refuse'];

/**
 * Behind the header of every command; varints unless said otherwise, texts with their length.
 *
 *   open         u8 flags, client id, identity, gateway, expiry, [version 2: ticket, will delay, to the end: the will],
 *                [from version 3 on: ticket, and with a will: its delay, to the end: the will]
 *   subscribe    u8 flags, client id, epoch, [count max], [bytes max], then to the end: u8 flags, u8 options, id, filter
 *   unsubscribe  client id, epoch, then to the end: filter
 *   pass         then to the end: client id, epoch, stream id, count of ranges, (from, length) each
 *   close        u8 flags, client id, epoch, [expiry]
 *   expire       then to the end: client id
 *   end portion  client id, epoch, part
 *   exchange     client id, epoch, serial, then to the end: u8 step, packet id,
 *                and of bind: u8 QoS, stream id, offset; of receive: stream id, offset; of refuse: u8 reason code
 *   fire wills   then to the end: client id
 *   claim wills  gateway, then to the end: will number
 *   end wills    group number
 */
export function encodeSessionCommand(command: SessionCommand): Uint8Array {
  switch (command.type) {
    case 'open-session':
      return encodeOpen(command);
    case 'subscribe-session':
      return encodeSubscribe(command);
    case 'unsubscribe-session': {
      const writer = begin(SessionCommandKind.UNSUBSCRIBE).text(command.clientId).varint(command.epoch);
      return writeTexts(writer, command.filters).finish();
    }
    case 'pass-session': {
      const writer = begin(SessionCommandKind.PASS);
      for (const pass of command.passes) writePass(writer, pass);
      return writer.finish();
    }
    case 'close-session':
      return encodeClose(command);
    case 'expire-sessions': {
      const isWhole = command.endsInPortions !== true;
      const writer = begin(SessionCommandKind.EXPIRE, isWhole ? VERSION : VERSION_OF_EXPIRE_IN_PORTIONS);
      return writeTexts(writer, command.clientIds).finish();
    }
    case 'end-portion': {
      const { clientId, number, part } = command;
      return begin(SessionCommandKind.END_PORTION).text(clientId).varint(number).varint(part).finish();
    }
    case 'exchange-session': {
      const writer = begin(SessionCommandKind.EXCHANGE).text(command.clientId);
      writer.varint(command.epoch).varint(command.serial);
      for (const step of command.steps) writeStep(writer, step);
      return writer.finish();
    }
    case 'fire-wills':
      return writeTexts(begin(SessionCommandKind.FIRE_WILLS), command.clientIds).finish();
    case 'claim-wills': {
      const writer = begin(SessionCommandKind.CLAIM_WILLS).varint(command.gateway);
      for (const number of command.numbers) writer.varint(number);
      return writer.finish();
    }
    case 'end-wills':
      return begin(SessionCommandKind.END_WILLS).varint(command.group).finish();
  }
}

/** @throws SluiceError `COMMAND_UNKNOWN` or `BYTES_MALFORMED`: the partition stops rather than guess. */
export function decodeSessionCommand(bytes: Uint8Array): SessionCommand {
  const [kind, version] = bytes;
  if (version === undefined || version < VERSION || version > newestOf(kind)) throw unknown(bytes);
  const reader = new ByteReader(bytes, COMMAND_HEADER_BYTES);
  switch (kind) {
    case SessionCommandKind.OPEN:
      return decodeOpen(reader, version);
    case SessionCommandKind.SUBSCRIBE:
      return decodeSubscribe(reader);
    case SessionCommandKind.UNSUBSCRIBE: {
      const clientId = reader.text();
      const epoch = reader.varint();
      return { type: 'unsubscribe-session', clientId, epoch, filters: readTexts(reader) };
    }
    case SessionCommandKind.PASS: {
      const passes: Pass[] = [];
      while (reader.remaining > 0) passes.push(readPass(reader));
      return { type: 'pass-session', passes };
    }
    case SessionCommandKind.CLOSE:
      return decodeClose(reader, version);
    case SessionCommandKind.EXPIRE: {
      const expire = { type: 'expire-sessions' as const, clientIds: readTexts(reader) };
      return version === VERSION_OF_EXPIRE_IN_PORTIONS ? { ...expire, endsInPortions: true } : expire;
    }
    case SessionCommandKind.END_PORTION: {
      const clientId = reader.text();
      const number = reader.varint();
      return { type: 'end-portion', clientId, number, part: reader.varint() };
    }
    case SessionCommandKind.EXCHANGE: {
      const clientId = reader.text();
      const epoch = reader.varint();
      const serial = reader.varint();
      const steps: ExchangeStep[] = [];
      while (reader.remaining > 0) steps.push(readStep(reader, bytes));
      return { type: 'exchange-session', clientId, epoch, serial, steps };
    }
    case SessionCommandKind.FIRE_WILLS:
      return { type: 'fire-wills', clientIds: readTexts(reader) };
    case SessionCommandKind.CLAIM_WILLS: {
      const gateway = reader.varint();
      const numbers: number[] = [];
      while (reader.remaining > 0) numbers.push(reader.varint());
      return { type: 'claim-wills', gateway, numbers };
    }
    case SessionCommandKind.END_WILLS:
      return { type: 'end-wills', group: reader.varint() };
    default:
      throw unknown(bytes);
  }
}

/** Of the partition that applies the command: 0 where each that has sessions may. */
export function machineVersionOf(command: Uint8Array): number {
  const [kind, version = 0] = command;
  switch (kind) {
    case SessionCommandKind.END_PORTION:
      return MACHINE_VERSION_OF_PORTIONS;
    case SessionCommandKind.OPEN:
    case SessionCommandKind.CLOSE:
      return version >= VERSION_OF_PORTIONS ? MACHINE_VERSION_OF_PORTIONS : 0;
    case SessionCommandKind.EXPIRE:
      return version >= VERSION_OF_EXPIRE_IN_PORTIONS ? MACHINE_VERSION_OF_PORTIONS : 0;
    default:
      return 0;
  }
}

function begin(kind: number, version = VERSION): ByteWriter {
  return new ByteWriter(128).u8(kind).u8(version).u53(0);
}

function newestOf(kind: number | undefined): number {
  if (kind === SessionCommandKind.OPEN || kind === SessionCommandKind.CLOSE) return VERSION_OF_PORTIONS;
  return kind === SessionCommandKind.EXPIRE ? VERSION_OF_EXPIRE_IN_PORTIONS : VERSION;
}

function writeTexts(writer: ByteWriter, texts: readonly string[]): ByteWriter {
  for (const text of texts) writer.text(text);
  return writer;
}

function readTexts(reader: ByteReader): string[] {
  const texts: string[] = [];
  while (reader.remaining > 0) texts.push(reader.text());
  return texts;
}

function encodeOpen(command: OpenCommand): Uint8Array {
  const { ticket, will, endsInPortions = false } = command;
  const former = will === undefined ? VERSION : VERSION_OF_WILLS;
  const ofTicket = endsInPortions ? VERSION_OF_PORTIONS : VERSION_OF_TICKETS;
  const writer = begin(SessionCommandKind.OPEN, ticket === undefined ? former : ofTicket);
  const hasWill = ticket !== undefined && will !== undefined;
  writer
    .u8((command.cleanStart ? CLEAN_START : 0) | (hasWill ? HAS_WILL : 0))
    .text(command.clientId)
    .text(command.identity);
  writer.varint(command.gateway).varint(command.expiryS);
  if (ticket !== undefined) writer.varint(ticket);
  else if (will !== undefined) writer.varint(will.ticket);
  if (will !== undefined) writer.varint(will.delayS).raw(will.message);
  return writer.finish();
}

function decodeOpen(reader: ByteReader, version: number): OpenCommand {
  const flags = reader.u8();
  const clientId = reader.text();
  const identity = reader.text();
  const gateway = reader.varint();
  const open: OpenCommand = {
    type: 'open-session',
    clientId,
    identity,
    gateway,
    cleanStart: (flags & CLEAN_START) !== 0,
    expiryS: reader.varint(),
  };
  if (version === VERSION_OF_WILLS) open.will = readWill(reader, reader.varint());
  if (version >= VERSION_OF_TICKETS) {
    open.ticket = reader.varint();
    if (flags & HAS_WILL) open.will = readWill(reader, open.ticket);
  }
  if (version === VERSION_OF_PORTIONS) open.endsInPortions = true;
  return open;
}

/** A copy: its row may be kept for longer than the entry. */
function readWill(reader: ByteReader, ticket: number): LeftWill {
  const delayS = reader.varint();
  return { ticket, delayS, message: reader.raw(reader.remaining).slice() };
}

function encodeSubscribe(command: SubscribeCommand): Uint8Array {
  const { countMax, bytesMax } = command;
  const writer = begin(SessionCommandKind.SUBSCRIBE);
  writer.u8((countMax === null ? 0 : HAS_COUNT_MAX) | (bytesMax === null ? 0 : HAS_BYTES_MAX));
  writer.text(command.clientId).varint(command.epoch);
  if (countMax !== null) writer.varint(countMax);
  if (bytesMax !== null) writer.varint(bytesMax);
  for (const { filter, options, subscriptionId, isStored } of command.subscriptions) {
    writer
      .u8(isStored ? IS_STORED : 0)
      .u8(options)
      .varint(subscriptionId)
      .text(filter);
  }
  return writer.finish();
}

function decodeSubscribe(reader: ByteReader): SubscribeCommand {
  const flags = reader.u8();
  const clientId = reader.text();
  const epoch = reader.varint();
  const countMax = flags & HAS_COUNT_MAX ? reader.varint() : null;
  const bytesMax = flags & HAS_BYTES_MAX ? reader.varint() : null;
  const subscriptions: SubscriptionRequest[] = [];
  while (reader.remaining > 0) {
    const isStored = (reader.u8() & IS_STORED) !== 0;
    const options = reader.u8();
    const subscriptionId = reader.varint();
    subscriptions.push({ filter: reader.text(), options, subscriptionId, isStored });
  }
  return { type: 'subscribe-session', clientId, epoch, countMax, bytesMax, subscriptions };
}

function encodeClose(command: CloseCommand): Uint8Array {
  const { clientId, epoch, expiryS, takesWillBack = false, leavesUnsure = false } = command;
  const sure = takesWillBack ? VERSION_OF_WILLS : VERSION;
  const whole = leavesUnsure ? VERSION_OF_UNSURE : sure;
  const writer = begin(SessionCommandKind.CLOSE, command.endsInPortions === true ? VERSION_OF_PORTIONS : whole);
  const ofWill = takesWillBack ? TAKES_WILL_BACK : 0;
  writer.u8((expiryS === undefined ? 0 : HAS_EXPIRY) | ofWill | (leavesUnsure ? LEAVES_UNSURE : 0));
  writer.text(clientId).varint(epoch);
  return expiryS === undefined ? writer.finish() : writer.varint(expiryS).finish();
}

function decodeClose(reader: ByteReader, version: number): CloseCommand {
  const flags = reader.u8();
  const clientId = reader.text();
  const epoch = reader.varint();
  const expiryS = flags & HAS_EXPIRY ? reader.varint() : undefined;
  const close: CloseCommand = { type: 'close-session', clientId, epoch, expiryS };
  if (version >= VERSION_OF_WILLS) close.takesWillBack = (flags & TAKES_WILL_BACK) !== 0;
  if (version >= VERSION_OF_UNSURE) close.leavesUnsure = (flags & LEAVES_UNSURE) !== 0;
  if (version === VERSION_OF_PORTIONS) close.endsInPortions = true;
  return close;
}

function writePass(writer: ByteWriter, { clientId, epoch, streamId, ranges }: Pass): void {
  writer
    .text(clientId)
    .varint(epoch)
    .varint(streamId)
    .varint(ranges.length / 2);
  for (let i = 0; i < ranges.length; i += 2) {
    const from = ranges[i] as number;
    writer.varint(from).varint((ranges[i + 1] as number) - from);
  }
}

function readPass(reader: ByteReader): Pass {
  const clientId = reader.text();
  const epoch = reader.varint();
  const streamId = reader.varint();
  const ranges: number[] = [];
  for (let count = reader.varint(); count > 0; count--) {
    const from = reader.varint();
    ranges.push(from, from + reader.varint());
  }
  return { clientId, epoch, streamId, ranges };
}

function writeStep(writer: ByteWriter, step: ExchangeStep): void {
  writer.u8(STEPS.indexOf(step.type)).varint(step.packetId);
  if (step.type === 'bind') writer.u8(step.qos).varint(step.streamId).varint(step.offset);
  else if (step.type === 'receive') writer.varint(step.streamId).varint(step.offset);
  else if (step.type === 'refuse') writer.u8(step.reasonCode);
}

function readStep(reader: ByteReader, bytes: Uint8Array): ExchangeStep {
  const type = STEPS[reader.u8()];
  const packetId = reader.varint();
  switch (type) {
    case 'bind': {
      const qos = reader.u8() === 1 ? 1 : 2;
      return { type, packetId, qos, streamId: reader.varint(), offset: reader.varint() };
    }
    case 'receive':
      return { type, packetId, streamId: reader.varint(), offset: reader.varint() };
    case 'refuse':
      return { type, packetId, reasonCode: reader.u8() };
    case undefined:
      throw unknown(bytes);
    default:
      return { type, packetId };
  }
}

function unknown(bytes: Uint8Array): SluiceError {
  return new SluiceError('COMMAND_UNKNOWN', `command kind ${bytes[0]} version ${bytes[1]} is not known here`, {
    hint: 'this node runs an older release than the one that wrote the log: upgrade it',
  });
}
