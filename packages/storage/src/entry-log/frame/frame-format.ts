import type { EntryKind } from '@sluice/raft/entry';
import { checksum } from '../../checksum.ts';
import { readU53, writeU53 } from '../integers.ts';

/**
 * One frame is one append: header, record headers, payloads. Little-endian.
 *
 * Frame header (32): magic (4), header CRC (4), frame bytes (4), record count (4), sequence (8), records CRC (4), zero (4).
 * The header CRC covers bytes 8..31 and starts from the segment's salt; the records CRC, covered by it, sums all record
 * headers. The two are apart so that a search for frames amid damage costs a fixed sum a candidate, whatever length the
 * candidate claims.
 *
 * Record header (36): type (1), kind (1), flags (2), group (4), term (8), index (8), data bytes (4), data CRC (4),
 * chain (4). A hard state has no data: its vote is in `index`, its commit in the last 8 bytes.
 */
export const FRAME_HEADER_BYTES = 32;
export const RECORD_HEADER_BYTES = 36;
export const FRAME_MAGIC = 0x5246_4c53; // 'SLFR'
/** Positions inside a segment are 32-bit; a frame of this size still leaves room in the largest segment. */
export const FRAME_BYTES_MAX = 0x4000_0000;

export const RecordType = {
  /** An entry at the end of its group's log; with `SUPERSEDES` it first cuts the tail from its index on. */
  ENTRY: 1,
  HARD_STATE: 2,
  /** The contiguous log starts after `index`, whose term and chain the record carries. */
  MARK: 3,
  /** A copy of an entry whose segment is about to go, or an entry below the log's start that came with an image. */
  MOVED: 4,
  /** `index` is the id of a segment whose live entries all stand in later frames: its file may go. */
  RELEASED: 5,
  /** First frame of a segment: the state of all groups, as data. */
  BASE: 6,
  /** The group and all its entries are gone. */
  REMOVED: 7,
} as const;
export type RecordType = (typeof RecordType)[keyof typeof RecordType];

/** On an entry: entries from its index on are superseded. */
export const SUPERSEDES = 1;
/** On a mark: the whole log before it is void, not only its front. */
export const RESETS = 2;

export interface FrameHeader {
  frameBytes: number;
  recordCount: number;
  sequence: number;
  recordsCrc: number;
}

export interface RecordHeader {
  type: RecordType;
  kind: EntryKind;
  flags: number;
  groupId: number;
  term: number;
  /** Of the entry; the vote of a hard state; the segment id of a release. */
  index: number;
  dataBytes: number;
  dataCrc: number;
  chain: number;
  /** Of a hard state. */
  commit: number;
}

export function encodeFrameHeader(into: Buffer, header: FrameHeader, seed: number): void {
  into.writeUInt32LE(FRAME_MAGIC, 0);
  into.writeUInt32LE(header.frameBytes, 8);
  into.writeUInt32LE(header.recordCount, 12);
  writeU53(into, header.sequence, 16);
  into.writeUInt32LE(header.recordsCrc, 24);
  into.writeUInt32LE(0, 28);
  into.writeUInt32LE(checksum(into.subarray(8, FRAME_HEADER_BYTES), seed), 4);
}

/** Undefined when these are not the bytes of a frame header written into the segment with this seed. */
export function decodeFrameHeader(bytes: Buffer, seed: number): FrameHeader | undefined {
  if (bytes.length < FRAME_HEADER_BYTES || bytes.readUInt32LE(0) !== FRAME_MAGIC) return undefined;
  if (bytes.readUInt32LE(4) !== checksum(bytes.subarray(8, FRAME_HEADER_BYTES), seed)) return undefined;
  const frameBytes = bytes.readUInt32LE(8);
  const recordCount = bytes.readUInt32LE(12);
  if (FRAME_HEADER_BYTES + recordCount * RECORD_HEADER_BYTES > frameBytes) return undefined;
  return { frameBytes, recordCount, sequence: readU53(bytes, 16), recordsCrc: bytes.readUInt32LE(24) };
}

export function decodeRecordHeader(bytes: Buffer, at: number): RecordHeader {
  const type = bytes.readUInt8(at) as RecordType;
  return {
    type,
    kind: bytes.readUInt8(at + 1) as EntryKind,
    flags: bytes.readUInt16LE(at + 2),
    groupId: bytes.readUInt32LE(at + 4),
    term: readU53(bytes, at + 8),
    index: readU53(bytes, at + 16),
    dataBytes: recordDataBytes(bytes, at),
    dataCrc: bytes.readUInt32LE(at + 28),
    chain: bytes.readUInt32LE(at + 32),
    commit: type === RecordType.HARD_STATE ? readU53(bytes, at + 28) : 0,
  };
}

export function recordDataBytes(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at + 24);
}

const link = Buffer.alloc(20);

/**
 * Ties an entry to all entries before it in its group: whole entries that were exchanged, dropped or repeated break the
 * chain although each is intact.
 */
export function chainOf(previous: number, term: number, index: number, dataCrc: number): number {
  writeU53(link, term, 0);
  writeU53(link, index, 8);
  link.writeUInt32LE(dataCrc, 16);
  return checksum(link, previous);
}
