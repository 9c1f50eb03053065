import { ByteReader } from '@sluice/common/bytes/byte-reader';
import { ByteWriter } from '@sluice/common/bytes/byte-writer';
import type { KeyValueWrite } from '@sluice/storage/engine';

/**
 * Every key of a node's engine. Two bytes of group id come before a machine's own keys; the host keeps its rows in a
 * group number no group may have.
 *
 * HOST 'A' group        -> applied index, its term and its time: atomic with the rows it accounts for
 * HOST 'J' slot         -> sequence number of a batch: a ring that shows whether a batch is missing in the middle
 * HOST 'L'              -> where the entry log ended when the batch was written: a second witness of what was durable
 * HOST 'C'              -> present after an orderly stop only: nothing needs checking
 */
export const HOST_GROUP = 0xffff;
const APPLIED = 0x41;
const JOURNAL = 0x4a;
const LOG_MARK = 0x4c;
const CLEAN = 0x43;

/**
 * Batches whose presence is checked after an unclean stop. A write-ahead log that lost a block opens without an error
 * and without the batches in it; the ring covers more batches than the engine's memtables can hold.
 */
export const JOURNAL_SLOTS = 32_768;

export function groupKey(groupId: number, key: Uint8Array): Uint8Array {
  const full = new Uint8Array(key.length + 2);
  full[0] = groupId >>> 8;
  full[1] = groupId & 0xff;
  full.set(key, 2);
  return full;
}

/** [from, to) of everything a group owns. */
export function groupRange(groupId: number): { from: Uint8Array; to: Uint8Array } {
  return { from: groupKey(groupId, new Uint8Array(0)), to: groupKey(groupId + 1, new Uint8Array(0)) };
}

export function machineKey(fullKey: Uint8Array): Uint8Array {
  return fullKey.subarray(2);
}

export interface AppliedRow {
  index: number;
  term: number;
}

export function appliedKey(groupId: number): Uint8Array {
  return new ByteWriter(8).u16(HOST_GROUP).u8(APPLIED).u16(groupId).finish();
}
export function encodeApplied(row: AppliedRow): Uint8Array {
  return new ByteWriter(16).u53(row.index).u53(row.term).finish();
}
export function decodeApplied(bytes: Uint8Array): AppliedRow {
  const reader = new ByteReader(bytes);
  return { index: reader.u53(), term: reader.u53() };
}

export function journalKey(slot: number): Uint8Array {
  return new ByteWriter(8).u16(HOST_GROUP).u8(JOURNAL).u32(slot).finish();
}
export const journalRange = {
  from: Uint8Array.of(0xff, 0xff, JOURNAL),
  to: Uint8Array.of(0xff, 0xff, JOURNAL + 1),
};
export function journalWrite(sequence: number): KeyValueWrite {
  return { key: journalKey(sequence % JOURNAL_SLOTS), value: new ByteWriter(8).u53(sequence).finish() };
}
export function decodeJournal(bytes: Uint8Array): number {
  return new ByteReader(bytes).u53();
}

export const cleanKey = Uint8Array.of(0xff, 0xff, CLEAN);

export const logMarkKey = Uint8Array.of(0xff, 0xff, LOG_MARK);
export interface LogMark {
  segmentId: number;
  position: number;
}
export function encodeLogMark(mark: LogMark): Uint8Array {
  return new ByteWriter(16).u53(mark.segmentId).u53(mark.position).finish();
}
export function decodeLogMark(bytes: Uint8Array): LogMark {
  const reader = new ByteReader(bytes);
  return { segmentId: reader.u53(), position: reader.u53() };
}
