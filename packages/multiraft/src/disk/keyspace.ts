import { ByteReader } from '@sluice/common/bytes/byte-reader';
import { ByteWriter } from '@sluice/common/bytes/byte-writer';
import { decodeMembership, encodeMembership } from '@sluice/raft/conf-change';
import type { Membership } from '@sluice/raft/entry';

/**
 * Every key of a node's engine. Two bytes of group id come before a machine's own keys; the host keeps its rows in a
 * group number no group may have (keys that begin with 0xff belong to the engine itself).
 *
 * HOST 'A' group        -> applied index, its term and its time: atomic with the rows it accounts for
 * HOST 'M' group        -> membership as of the applied index, and the index of its entry: atomic with the applied index
 * HOST 'L'              -> where the entry log ended when the batch was written: a second witness of what was durable
 */
export const HOST_GROUP = 0xfe00;
const APPLIED = 0x41;
const LOG_MARK = 0x4c;
const MEMBERSHIP = 0x4d;
/** Every group of a turn writes how far it is applied. */
const scratch = new ByteWriter(16);

/** Short-lived, hence from the runtime's pool: whoever keeps one copies it. */
export function groupKey(groupId: number, key: Uint8Array): Buffer {
  const full = Buffer.allocUnsafe(key.length + 2);
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
  return scratch.restart().u53(row.index).u53(row.term).finish();
}
export function decodeApplied(bytes: Uint8Array): AppliedRow {
  const reader = new ByteReader(bytes);
  return { index: reader.u53(), term: reader.u53() };
}

export interface MembershipRow {
  index: number;
  membership: Membership;
}

export function membershipKey(groupId: number): Uint8Array {
  return new ByteWriter(8).u16(HOST_GROUP).u8(MEMBERSHIP).u16(groupId).finish();
}
export function encodeMembershipRow(row: MembershipRow): Uint8Array {
  return new ByteWriter(64).u53(row.index).raw(encodeMembership(row.membership)).finish();
}
export function decodeMembershipRow(bytes: Uint8Array): MembershipRow {
  const index = new ByteReader(bytes).u53();
  return { index, membership: decodeMembership(bytes.subarray(8)) };
}

export const logMarkKey = new ByteWriter(8).u16(HOST_GROUP).u8(LOG_MARK).finish();
export interface LogMark {
  segmentId: number;
  position: number;
}
export function encodeLogMark(mark: LogMark): Uint8Array {
  return scratch.restart().u53(mark.segmentId).u53(mark.position).finish();
}
export function decodeLogMark(bytes: Uint8Array): LogMark {
  const reader = new ByteReader(bytes);
  return { segmentId: reader.u53(), position: reader.u53() };
}
