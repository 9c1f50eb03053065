import { checksum } from '../../checksum.ts';
import { type FileOperations, isOutOfFiles } from '../../files/file-operations.ts';
import {
  chainOf,
  decodeFrameHeader,
  decodeRecordHeader,
  FRAME_HEADER_BYTES,
  FRAME_MAGIC,
  type FrameHeader,
  RECORD_HEADER_BYTES,
  RESETS,
  type RecordHeader,
  RecordType,
  recordDataBytes,
  SUPERSEDES,
} from '../frame/frame-format.ts';
import { type BaseState, decodeBaseState } from '../group/base-state.ts';
import { rowsOf, type SegmentRows } from '../group/row-columns.ts';
import { damaged, outOfFiles } from '../log-errors.ts';
import { SequentialReader } from '../sequential-reader.ts';
import { decodeSegmentHeader, SEGMENT_HEADER_BYTES, type SegmentHeader } from './segment-header.ts';

/** Payloads are summed in pieces of this size: an entry may be larger than what one wants in memory. */
const PIECE_BYTES = 512 * 1024;

export interface ScanResult {
  header: SegmentHeader;
  base: BaseState;
  /** Sealed or active, these are the entries in it that it did not itself supersede. */
  rows: SegmentRows;
  /** End of the last good frame, and its start. */
  end: number;
  lastFrameAt: number;
  /** Frames behind the base frame. */
  frames: number;
  lastSequence: number;
  /** Set when the bytes from `end` on are not a good frame. */
  stop: ScanStop | undefined;
}

export interface ScanStop {
  /** Of the bytes that were wrong. */
  position: number;
  expected: string;
  /** Start of a frame behind `end` that was written later: then this is damage, not a torn write. */
  laterFrameAt: number | undefined;
}

/** Hears what a scan finds: the base once, then the records of whole good frames, in order. */
export interface ScanObserver {
  base?(base: BaseState): void;
  record?(record: RecordHeader): void;
  progress?(position: number): void;
}

/**
 * Reads a whole segment and verifies each byte of it: header, frame headers, sequence, payloads and chains. A frame
 * counts as a whole or not at all. Where the frames end is the caller's to judge, what is wrong inside of a good frame
 * is thrown.
 *
 * @throws SluiceError `ENTRY_LOG_DAMAGED` for the header, the base frame, a broken chain
 */
export async function scanSegment(
  files: FileOperations,
  path: string,
  segmentId: number,
  observer: ScanObserver = {},
): Promise<ScanResult> {
  const fd = await files.open(path, 'read').catch((error: unknown) => {
    throw isOutOfFiles(error) ? outOfFiles(path, error) : error;
  });
  try {
    const reader = new SequentialReader(files, fd, path, await files.sizeBytes(fd));
    return await new SegmentScan(reader, path, observer).run(segmentId);
  } finally {
    await files.close(fd);
  }
}

class SegmentScan {
  readonly #reader: SequentialReader;
  readonly #path: string;
  readonly #observer: ScanObserver;
  readonly #rows: SegmentRows = new Map();
  /** Last entry of each group: what the next one is chained to. */
  readonly #ends = new Map<number, { index: number; chain: number }>();
  #base: BaseState | undefined = undefined;

  constructor(reader: SequentialReader, path: string, observer: ScanObserver) {
    this.#reader = reader;
    this.#path = path;
    this.#observer = observer;
  }

  async run(segmentId: number): Promise<ScanResult> {
    const reader = this.#reader;
    await reader.fill(0, SEGMENT_HEADER_BYTES);
    const header = decodeSegmentHeader(this.#path, reader.view(0, SEGMENT_HEADER_BYTES), segmentId);
    let end = SEGMENT_HEADER_BYTES;
    let lastFrameAt = end;
    let frames = -1;
    let lastSequence = -1;
    let stop: ScanStop | undefined;
    while (end < reader.sizeBytes) {
      const found = await this.#frame(end, header.seed, lastSequence);
      if ('expected' in found) {
        if (this.#base === undefined) throw damaged(this.#path, found.position, found.expected);
        const laterFrameAt = await this.#laterFrame(end, header.seed, lastSequence);
        stop = { ...found, laterFrameAt };
        break;
      }
      lastFrameAt = end;
      end += found.frameBytes;
      lastSequence = found.sequence;
      frames++;
      this.#observer.progress?.(end);
    }
    if (this.#base === undefined) throw damaged(this.#path, end, 'the base frame that starts each segment');
    return { header, base: this.#base, rows: this.#rows, end, lastFrameAt, frames, lastSequence, stop };
  }

  /** Verifies the frame at `position`, then applies its records. */
  async #frame(
    position: number,
    seed: number,
    lastSequence: number,
  ): Promise<FrameHeader | { position: number; expected: string }> {
    const reader = this.#reader;
    if (!reader.covers(position, FRAME_HEADER_BYTES)) await reader.fill(position, FRAME_HEADER_BYTES);
    const header = decodeFrameHeader(reader.view(position, FRAME_HEADER_BYTES), seed);
    if (header === undefined) return { position, expected: 'a frame header with its checksum' };
    if (lastSequence >= 0 && header.sequence !== lastSequence + 1) {
      return { position, expected: `frame ${lastSequence + 1}, found frame ${header.sequence}` };
    }
    if (position + header.frameBytes > reader.sizeBytes) {
      return { position: reader.sizeBytes, expected: `a frame of ${header.frameBytes} bytes from byte ${position} on` };
    }
    const recordsAt = position + FRAME_HEADER_BYTES;
    const recordsBytes = header.recordCount * RECORD_HEADER_BYTES;
    if (!reader.covers(recordsAt, recordsBytes)) await reader.fill(recordsAt, recordsBytes);
    // A copy: the reader moves on over the payloads before the records are applied.
    const records = Buffer.from(reader.view(recordsAt, recordsBytes));
    if (checksum(records) !== header.recordsCrc)
      return { position: recordsAt, expected: 'record headers with their checksum' };

    let at = recordsAt + recordsBytes;
    const end = position + header.frameBytes;
    for (let i = 0; i < records.length; i += RECORD_HEADER_BYTES) {
      const dataBytes = recordDataBytes(records, i);
      if (at + dataBytes > end) return { position: recordsAt + i, expected: 'data that ends inside its frame' };
      if (dataBytes > 0 && (await this.#sum(at, dataBytes)) !== records.readUInt32LE(i + 28)) {
        return { position: at, expected: `${dataBytes} bytes of data with their checksum` };
      }
      at += dataBytes;
    }
    if (at !== end) return { position: at, expected: `the frame to end here, not at byte ${end}` };

    at = recordsAt + recordsBytes;
    for (let i = 0; i < records.length; i += RECORD_HEADER_BYTES) {
      const record = decodeRecordHeader(records, i);
      await this.#apply(record, at, recordsAt + i);
      at += record.dataBytes;
    }
    return header;
  }

  async #sum(position: number, count: number): Promise<number> {
    const reader = this.#reader;
    let sum = 0;
    for (let done = 0; done < count; done += PIECE_BYTES) {
      const piece = Math.min(PIECE_BYTES, count - done);
      if (!reader.covers(position + done, piece)) await reader.fill(position + done, piece);
      sum = checksum(reader.view(position + done, piece), sum);
    }
    return sum;
  }

  #keep({ groupId, index, term, dataBytes, dataCrc, chain, kind }: RecordHeader, position: number): void {
    rowsOf(this.#rows, groupId).set(index, term, position, dataBytes, dataCrc, chain, kind);
  }

  async #apply(record: RecordHeader, position: number, headerAt: number): Promise<void> {
    const { groupId, index } = record;
    switch (record.type) {
      case RecordType.BASE:
        await this.#applyBase(position, record.dataBytes);
        return;
      case RecordType.ENTRY:
        this.#checkChain(record, headerAt);
        if (record.flags & SUPERSEDES) this.#rows.get(groupId)?.cutFrom(index);
        this.#keep(record, position);
        break;
      case RecordType.MOVED:
        this.#keep(record, position);
        break;
      case RecordType.MARK:
        if (record.flags & RESETS) {
          this.#rows.delete(groupId);
          this.#ends.set(groupId, { index, chain: record.chain });
        }
        break;
      case RecordType.REMOVED:
        this.#rows.delete(groupId);
        this.#ends.delete(groupId);
        break;
      case RecordType.HARD_STATE:
      case RecordType.RELEASED:
        break;
      default:
        throw damaged(this.#path, headerAt, `a known record type, found ${record.type}`);
    }
    this.#observer.record?.(record);
  }

  async #applyBase(position: number, count: number): Promise<void> {
    if (this.#base !== undefined) throw damaged(this.#path, position, 'one base frame only');
    await this.#reader.fill(position, count);
    try {
      this.#base = decodeBaseState(this.#reader.view(position, count));
    } catch (error) {
      throw damaged(this.#path, position, 'a readable base frame', error);
    }
    this.#observer.base?.(this.#base);
    for (const group of this.#base.groups) {
      this.#ends.set(group.groupId, { index: group.lastIndex, chain: group.lastChain });
    }
  }

  #checkChain(record: RecordHeader, headerAt: number): void {
    const { groupId, index, term, dataCrc, chain } = record;
    const last = this.#ends.get(groupId) ?? { index: 0, chain: 0 };
    const supersedes = (record.flags & SUPERSEDES) !== 0;
    if (supersedes ? index > last.index : index !== last.index + 1) {
      throw damaged(this.#path, headerAt, `entry ${last.index + 1} of group ${groupId}, found entry ${index}`);
    }
    // What a superseding entry follows may stand in an older segment; recovery then checks it over the whole window.
    if (!supersedes && chain !== chainOf(last.chain, term, index, dataCrc)) {
      throw damaged(this.#path, headerAt, `entry ${index} of group ${groupId} chained to the one before it`);
    }
    this.#ends.set(groupId, { index, chain });
  }

  /** Searches for a header of this segment with a higher sequence, which a torn last write cannot leave behind. */
  async #laterFrame(from: number, seed: number, lastSequence: number): Promise<number | undefined> {
    const reader = this.#reader;
    const magic = Buffer.alloc(4);
    magic.writeUInt32LE(FRAME_MAGIC);
    for (let position = from; position + FRAME_HEADER_BYTES <= reader.sizeBytes; ) {
      const count = Math.min(PIECE_BYTES, reader.sizeBytes - position);
      await reader.fill(position, count);
      const view = reader.view(position, count);
      let at = view.indexOf(magic);
      while (at >= 0 && at + FRAME_HEADER_BYTES <= view.length) {
        const header = decodeFrameHeader(view.subarray(at, at + FRAME_HEADER_BYTES), seed);
        const isTorn = position + at === from && header?.sequence === lastSequence + 1;
        if (header !== undefined && header.sequence > lastSequence && !isTorn) return position + at;
        at = view.indexOf(magic, at + 1);
      }
      position += Math.max(1, count - FRAME_HEADER_BYTES + 1);
    }
    return undefined;
  }
}
