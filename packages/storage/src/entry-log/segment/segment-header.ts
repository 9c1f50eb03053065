import { checksum } from '../../checksum.ts';
import { readU53, writeU53 } from '../integers.ts';
import { damaged } from '../log-errors.ts';

/**
 * The first 64 bytes of a segment file, little-endian:
 * magic (8), version (4), flags (4), segment id (8), salt (16), zero (20), CRC32C of the 60 bytes before it (4).
 *
 * The salt is drawn when the file is made and seeds the checksum of every frame header in it. A payload that holds the
 * bytes of a frame, by accident or from a copied file, therefore never passes for one.
 */
export const SEGMENT_HEADER_BYTES = 64;
export const SALT_BYTES = 16;
const MAGIC = Buffer.from('SLUICELG', 'latin1');
const VERSION = 1;
/** The file was another segment before: behind the last frame there may be bytes of that one. */
const RECYCLED = 1;
const CRC_AT = SEGMENT_HEADER_BYTES - 4;

export interface SegmentHeader {
  segmentId: number;
  /** CRC32C of the salt: what frame checksums start from. */
  seed: number;
  isRecycled: boolean;
}

export function encodeSegmentHeader(segmentId: number, salt: Uint8Array, isRecycled: boolean): Buffer {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
  MAGIC.copy(bytes, 0);
  bytes.writeUInt32LE(VERSION, 8);
  bytes.writeUInt32LE(isRecycled ? RECYCLED : 0, 12);
  writeU53(bytes, segmentId, 16);
  bytes.set(salt, 24);
  bytes.writeUInt32LE(checksum(bytes.subarray(0, CRC_AT)), CRC_AT);
  return bytes;
}

/** `bytes` may be short: then the file was. */
export function decodeSegmentHeader(path: string, bytes: Buffer, segmentId: number): SegmentHeader {
  if (bytes.length < SEGMENT_HEADER_BYTES) throw damaged(path, bytes.length, 'a segment header of 64 bytes');
  if (!bytes.subarray(0, 8).equals(MAGIC)) throw damaged(path, 0, 'the magic of an entry log segment');
  if (bytes.readUInt32LE(CRC_AT) !== checksum(bytes.subarray(0, CRC_AT))) {
    throw damaged(path, CRC_AT, 'a segment header with its checksum');
  }
  const version = bytes.readUInt32LE(8);
  if (version !== VERSION) {
    throw damaged(path, 8, `format version ${VERSION}, found ${version}: another version of Sluice wrote it`);
  }
  const found = readU53(bytes, 16);
  if (found !== segmentId) throw damaged(path, 16, `segment id ${segmentId} as in the file name, found ${found}`);
  const isRecycled = (bytes.readUInt32LE(12) & RECYCLED) !== 0;
  return { segmentId, seed: saltSeed(bytes.subarray(24, 24 + SALT_BYTES)), isRecycled };
}

export function saltSeed(salt: Uint8Array): number {
  return checksum(salt);
}

export function segmentFile(segmentId: number): string {
  return `${segmentId.toString(16).padStart(16, '0')}.log`;
}

export function sidecarFile(segmentId: number): string {
  return `${segmentId.toString(16).padStart(16, '0')}.idx`;
}

/** The id in a segment's file name; undefined for other files. */
export function segmentIdOf(file: string): number | undefined {
  if (!/^[0-9a-f]{16}\.log$/.test(file)) return undefined;
  const id = Number.parseInt(file.slice(0, 16), 16);
  return Number.isSafeInteger(id) ? id : undefined;
}
