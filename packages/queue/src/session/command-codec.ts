import { ByteReader } from '@sluice/common/bytes/byte-reader';
import { ByteWriter } from '@sluice/common/bytes/byte-writer';
import { SluiceError } from '@sluice/common/errors';
import { COMMAND_HEADER_BYTES } from '../machine/command-header.ts';
import type { Pass, SessionCommand, SubscriptionRequest } from './commands.ts';

/** The first byte of a command, in the range that partitions give to sessions. Numbers are never reused. */
export const SessionCommandKind = {
  OPEN: 32,
  SUBSCRIBE: 33,
  UNSUBSCRIBE: 34,
  PASS: 35,
  CLOSE: 36,
  EXPIRE: 37,
} as const;

const VERSION = 1;
/** Flags of `open` and of a subscription, and whether a close says anything of the expiry. */
const CLEAN_START = 1;
const IS_STORED = 1;
const HAS_EXPIRY = 1;
const HAS_COUNT_MAX = 1;
const HAS_BYTES_MAX = 2;

/**
 * Behind the header of every command; varints unless said otherwise, texts with their length.
 *
 *   open         u8 flags, client id, identity, gateway, expiry
 *   subscribe    u8 flags, client id, epoch, [count max], [bytes max], then to the end: u8 flags, u8 options, id, filter
 *   unsubscribe  client id, epoch, then to the end: filter
 *   pass         then to the end: client id, epoch, stream id, count of ranges, (from, length) each
 *   close        u8 flags, client id, epoch, [expiry]
 *   expire       then to the end: client id
 */
export function encodeSessionCommand(command: SessionCommand): Uint8Array {
  switch (command.type) {
    case 'open-session': {
      const writer = begin(SessionCommandKind.OPEN).u8(command.cleanStart ? CLEAN_START : 0);
      return writer
        .text(command.clientId)
        .text(command.identity)
        .varint(command.gateway)
        .varint(command.expiryS)
        .finish();
    }
    case 'subscribe-session': {
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
    case 'unsubscribe-session': {
      const writer = begin(SessionCommandKind.UNSUBSCRIBE).text(command.clientId).varint(command.epoch);
      for (const filter of command.filters) writer.text(filter);
      return writer.finish();
    }
    case 'pass-session': {
      const writer = begin(SessionCommandKind.PASS);
      for (const { clientId, epoch, streamId, ranges } of command.passes) {
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
      return writer.finish();
    }
    case 'close-session': {
      const { clientId, epoch, expiryS } = command;
      const writer = begin(SessionCommandKind.CLOSE).u8(expiryS === undefined ? 0 : HAS_EXPIRY);
      writer.text(clientId).varint(epoch);
      return expiryS === undefined ? writer.finish() : writer.varint(expiryS).finish();
    }
    case 'expire-sessions': {
      const writer = begin(SessionCommandKind.EXPIRE);
      for (const clientId of command.clientIds) writer.text(clientId);
      return writer.finish();
    }
  }
}

/** @throws SluiceError `COMMAND_UNKNOWN` or `BYTES_MALFORMED`: the partition stops rather than guess. */
export function decodeSessionCommand(bytes: Uint8Array): SessionCommand {
  if (bytes[1] !== VERSION) throw unknown(bytes);
  const reader = new ByteReader(bytes, COMMAND_HEADER_BYTES);
  switch (bytes[0]) {
    case SessionCommandKind.OPEN: {
      const cleanStart = (reader.u8() & CLEAN_START) !== 0;
      const clientId = reader.text();
      const identity = reader.text();
      return {
        type: 'open-session',
        clientId,
        identity,
        gateway: reader.varint(),
        cleanStart,
        expiryS: reader.varint(),
      };
    }
    case SessionCommandKind.SUBSCRIBE: {
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
    case SessionCommandKind.UNSUBSCRIBE: {
      const clientId = reader.text();
      const epoch = reader.varint();
      const filters: string[] = [];
      while (reader.remaining > 0) filters.push(reader.text());
      return { type: 'unsubscribe-session', clientId, epoch, filters };
    }
    case SessionCommandKind.PASS: {
      const passes: Pass[] = [];
      while (reader.remaining > 0) passes.push(readPass(reader));
      return { type: 'pass-session', passes };
    }
    case SessionCommandKind.CLOSE: {
      const hasExpiry = (reader.u8() & HAS_EXPIRY) !== 0;
      const clientId = reader.text();
      const epoch = reader.varint();
      return { type: 'close-session', clientId, epoch, expiryS: hasExpiry ? reader.varint() : undefined };
    }
    case SessionCommandKind.EXPIRE: {
      const clientIds: string[] = [];
      while (reader.remaining > 0) clientIds.push(reader.text());
      return { type: 'expire-sessions', clientIds };
    }
    default:
      throw unknown(bytes);
  }
}

function begin(kind: number): ByteWriter {
  return new ByteWriter(128).u8(kind).u8(VERSION).u53(0);
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

function unknown(bytes: Uint8Array): SluiceError {
  return new SluiceError('COMMAND_UNKNOWN', `command kind ${bytes[0]} version ${bytes[1]} is not known here`, {
    hint: 'this node runs an older release than the one that wrote the log: upgrade it',
  });
}
