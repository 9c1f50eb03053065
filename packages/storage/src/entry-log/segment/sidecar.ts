import { ByteReader } from '@sluice/common/bytes/byte-reader';
import { ByteWriter } from '@sluice/common/bytes/byte-writer';
import { checksum } from '../../checksum.ts';
import { errorCode, type FileOperations, isOutOfFiles } from '../../files/file-operations.ts';
import { type IndexRanges, rangesOf } from '../group/index-ranges.ts';
import { ROW_BYTES, RowColumns, type SegmentRows } from '../group/row-columns.ts';
import { outOfFiles } from '../log-errors.ts';

/**
 * The index of a sealed segment, in a file beside it: a summary that stays resident, and the rows of each group, loaded
 * on demand. It is a cache of the segment: whatever is wrong with it, it is made again from the segment.
 *
 * Header (40): magic (8), summary bytes (4), summary CRC (4), segment seed (4), zero (4), segment id (8), segment bytes (8).
 * Then the summary, then the rows of each group, one block with its own CRC each.
 */
const HEADER_BYTES = 40;
const MAGIC = Buffer.from('SLUICEX1', 'latin1');

export interface GroupSummary {
  ranges: IndexRanges;
  /** Where its rows stand in the sidecar. */
  position: number;
  rowCount: number;
  rowsCrc: number;
}

export type SegmentIndex = Map<number, GroupSummary>;

/** What ties a sidecar to its segment: one that belongs to another is as good as none. */
export interface SidecarOf {
  segmentId: number;
  segmentBytes: number;
  seed: number;
}

/** Writes it under a temporary name and renames it. Not synced: after a crash it may be damaged, which is noticed. */
export async function writeSidecar(
  files: FileOperations,
  path: string,
  of: SidecarOf,
  rows: SegmentRows,
): Promise<SegmentIndex> {
  const index: SegmentIndex = new Map();
  const blocks: Uint8Array[] = [];
  let position = 0;
  for (const [groupId, columns] of rows) {
    if (columns.length === 0) continue;
    let rowsCrc = 0;
    for (const piece of columns.pieces()) {
      rowsCrc = checksum(piece, rowsCrc);
      blocks.push(piece);
    }
    index.set(groupId, { ranges: rangesOf(columns), position, rowCount: columns.length, rowsCrc });
    position += columns.length * ROW_BYTES;
  }
  const summary = encodeSummary(index);
  const header = new ByteWriter(HEADER_BYTES).raw(MAGIC).u32(summary.length).u32(checksum(summary, of.seed));
  header.u32(of.seed).u32(0).u53(of.segmentId).u53(of.segmentBytes);
  const temporary = `${path}.tmp`;
  const fd = await files.open(temporary, 'replace');
  try {
    const buffers = [header.finish(), summary, ...blocks];
    let wanted = 0;
    for (const buffer of buffers) wanted += buffer.length;
    const written = await files.writev(fd, buffers, 0);
    if (written !== wanted) throw Object.assign(new Error('short write of a segment index'), { code: 'ENOSPC' });
  } catch (error) {
    await files.close(fd);
    await files.unlink(temporary).catch(() => {});
    throw error;
  }
  await files.close(fd);
  await files.rename(temporary, path);
  for (const group of index.values()) group.position += HEADER_BYTES + summary.length;
  return index;
}

/** Undefined, and why, when there is no usable sidecar. */
export async function readSidecar(
  files: FileOperations,
  path: string,
  of: SidecarOf,
): Promise<SegmentIndex | { unusable: string }> {
  let fd: number;
  try {
    fd = await files.open(path, 'read');
  } catch (error) {
    return { unusable: errorCode(error) === 'ENOENT' ? 'missing' : String(error) };
  }
  try {
    const head = Buffer.alloc(HEADER_BYTES);
    if ((await files.read(fd, head, 0)) < HEADER_BYTES) return { unusable: 'too short' };
    if (!head.subarray(0, 8).equals(MAGIC)) return { unusable: 'not a segment index of this version' };
    const header = new ByteReader(head, 8);
    const summaryBytes = header.u32();
    const summaryCrc = header.u32();
    const seed = header.u32();
    header.u32();
    if (seed !== of.seed || header.u53() !== of.segmentId || header.u53() !== of.segmentBytes) {
      return { unusable: 'made for another segment' };
    }
    if (summaryBytes > (await files.sizeBytes(fd)) - HEADER_BYTES) return { unusable: 'too short' };
    const summary = Buffer.alloc(summaryBytes);
    await files.read(fd, summary, HEADER_BYTES);
    if (checksum(summary, of.seed) !== summaryCrc) return { unusable: 'its summary does not match its checksum' };
    return decodeSummary(summary, HEADER_BYTES + summaryBytes);
  } catch (error) {
    return { unusable: String(error) };
  } finally {
    await files.close(fd);
  }
}

/**
 * The rows of one group; undefined when they are not what was written.
 *
 * @throws SluiceError `FILES_EXHAUSTED`
 */
export async function readSidecarRows(
  files: FileOperations,
  path: string,
  group: GroupSummary,
): Promise<RowColumns | undefined> {
  try {
    const fd = await files.open(path, 'read');
    try {
      const bytes = Buffer.allocUnsafeSlow(group.rowCount * ROW_BYTES);
      const count = await files.read(fd, bytes, group.position);
      return count === bytes.length && checksum(bytes) === group.rowsCrc ? RowColumns.from(bytes) : undefined;
    } finally {
      await files.close(fd);
    }
  } catch (error) {
    if (isOutOfFiles(error)) throw outOfFiles(path, error);
    return undefined;
  }
}

function encodeSummary(index: SegmentIndex): Uint8Array {
  const out = new ByteWriter(256).varint(index.size);
  for (const [groupId, group] of index) {
    out.varint(groupId).varint(group.rowCount).u32(group.rowsCrc).varint(group.ranges.length);
    for (const range of group.ranges) out.varint(range.first).varint(range.last);
  }
  return out.finish();
}

function decodeSummary(bytes: Uint8Array, rowsAt: number): SegmentIndex {
  const input = new ByteReader(bytes);
  const index: SegmentIndex = new Map();
  let position = rowsAt;
  for (let left = input.varint(); left > 0; left--) {
    const groupId = input.varint();
    const rowCount = input.varint();
    const rowsCrc = input.u32();
    const ranges: IndexRanges = [];
    for (let count = input.varint(); count > 0; count--) ranges.push({ first: input.varint(), last: input.varint() });
    index.set(groupId, { ranges, position, rowCount, rowsCrc });
    position += rowCount * ROW_BYTES;
  }
  return index;
}
