import { SluiceError } from '@sluice/common/errors';
import { COMMAND_HEADER_BYTES } from '../machine/command/command-header.ts';

/**
 * The one format of a batch of records: wire, log and disk share it, and a batch is the command of a Raft entry as it
 * stands. Integers are big-endian, varints LEB128 in their shortest form.
 *
 *   batch       command header (kind 1, version 1, stamp), u8 batch flags, u32 record count, [origin], records
 *   origin      u53 producer, u53 sequence, u32 sequence - after, u32 sequence - answered up to (`batch-origin`)
 *   record      u32 length of what follows, u8 flags, u53 published at, [u53 expires at], [u53 number, u53 floor],
 *               varint target count, targets, text16 publisher, text16 topic, [u32 length, properties], payload
 *   target      varint queue id, varint key length + 1 (0: no key), key; ascending by queue id, none twice
 *   properties  u8 which, then those present: content type and response topic as text16, correlation data behind u16,
 *               user properties as u16 count of strings and as many text16
 */
export const BATCH_FLAGS_AT = COMMAND_HEADER_BYTES;
export const BATCH_COUNT_AT = COMMAND_HEADER_BYTES + 1;
export const BATCH_HEADER_BYTES = COMMAND_HEADER_BYTES + 5;

/** Some target has a key; a batch without it needs no look at its records before it is applied. */
export const BATCH_KEYED = 0x01;
/** It says where it comes from. A batch without it is stored each time it comes. */
export const BATCH_NUMBERED = 0x02;
/** Some record says which exchange of its publisher it is. */
export const BATCH_EXCHANGES = 0x04;
export const BATCH_FLAGS_KNOWN = 0x07;

export const BATCH_ORIGIN_AT = BATCH_HEADER_BYTES;
export const BATCH_ORIGIN_BYTES = 24;

/** Bits 0 and 1 of the record flags are the QoS. */
export const RECORD_QOS = 0x03;
export const RECORD_RETAIN = 0x04;
export const RECORD_EXPIRES = 0x08;
export const RECORD_PROPERTIES = 0x10;
/** It says which exchange of its publisher it is (`RecordExchange`). */
export const RECORD_EXCHANGE = 0x20;
export const RECORD_FLAGS_KNOWN = 0x3f;

/**
 * An index row is rewritten whenever a part of it is settled; with more records to a row that would cost more than an
 * entry of its own.
 */
export const BATCH_RECORDS_MAX = 1024;

/** What the 16-bit lengths of MQTT can carry. */
export const TEXT_BYTES_MAX = 0xffff;
/** A key may be a topic. */
export const KEY_BYTES_MAX = 0xffff;

export function batchMalformed(message: string): SluiceError {
  return new SluiceError('RECORD_BATCH_MALFORMED', message, {
    hint: 'the sender encodes record batches differently: check that both nodes run compatible releases',
  });
}
