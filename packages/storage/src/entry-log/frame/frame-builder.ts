import { assert } from '@sluice/common/assert';
import type { HardState } from '@sluice/raft/entry';
import { checksum } from '../../checksum.ts';
import { writeU53 } from '../integers.ts';
import {
  encodeFrameHeader,
  FRAME_BYTES_MAX,
  FRAME_HEADER_BYTES,
  RECORD_HEADER_BYTES,
  RecordType,
} from './frame-format.ts';

/**
 * Below this a copy into the frame's own buffer costs no more than one more vector of the write, and keeps a frame of
 * thousands of small entries within the 1024 vectors of one system call.
 */
const COPY_BELOW_BYTES = 2048;
/** A larger scratch buffer is given back after the frame that needed it. */
const SCRATCH_KEPT_BYTES = 256 * 1024;
const SCRATCH_MIN_BYTES = 16 * 1024;

/**
 * Collects the records of one frame and lays it out as buffers for one `writev`: headers and small payloads in a reused
 * buffer, large payloads as they came. `start`, then records, then `finish`; the buffers are valid until the next `start`.
 *
 * @hotpath
 */
export class FrameBuilder {
  #scratch = Buffer.allocUnsafeSlow(SCRATCH_MIN_BYTES);
  readonly #payloads: Uint8Array[] = [];
  #recordCount = 0;
  #payloadBytes = 0;
  #copiedBytes = 0;

  start(): void {
    if (this.#scratch.length > SCRATCH_KEPT_BYTES) this.#scratch = Buffer.allocUnsafeSlow(SCRATCH_MIN_BYTES);
    this.#payloads.length = 0;
    this.#recordCount = 0;
    this.#payloadBytes = 0;
    this.#copiedBytes = 0;
  }

  get recordCount(): number {
    return this.#recordCount;
  }
  get frameBytes(): number {
    return this.payloadStart + this.#payloadBytes;
  }
  /** Offset of the first payload in the frame. */
  get payloadStart(): number {
    return FRAME_HEADER_BYTES + this.#recordCount * RECORD_HEADER_BYTES;
  }

  /** Adds a record with data. Returns the data's offset behind `payloadStart`. */
  data(
    type: RecordType,
    kind: number,
    flags: number,
    groupId: number,
    term: number,
    index: number,
    data: Uint8Array,
    dataCrc: number,
    chain: number,
  ): number {
    const at = this.#header(type, kind, flags, groupId, term, index);
    this.#scratch.writeUInt32LE(data.length, at + 24);
    this.#scratch.writeUInt32LE(dataCrc, at + 28);
    this.#scratch.writeUInt32LE(chain, at + 32);
    const offset = this.#payloadBytes;
    if (data.length > 0) this.#payloads.push(data);
    this.#payloadBytes += data.length;
    if (data.length < COPY_BELOW_BYTES) this.#copiedBytes += data.length;
    assert(this.frameBytes <= FRAME_BYTES_MAX, 'the caller bounds one turn far below a gigabyte');
    return offset;
  }

  hardState(groupId: number, hardState: HardState): void {
    const at = this.#header(RecordType.HARD_STATE, 0, 0, groupId, hardState.term, hardState.vote);
    this.#scratch.writeUInt32LE(0, at + 24);
    writeU53(this.#scratch, hardState.commit, at + 28);
  }

  /** Adds a record that is only a header. */
  note(type: RecordType, flags: number, groupId: number, term: number, index: number, chain: number): void {
    const at = this.#header(type, 0, flags, groupId, term, index);
    this.#scratch.writeUInt32LE(0, at + 24);
    this.#scratch.writeUInt32LE(0, at + 28);
    this.#scratch.writeUInt32LE(chain, at + 32);
  }

  #header(type: RecordType, kind: number, flags: number, groupId: number, term: number, index: number): number {
    const at = this.payloadStart;
    this.#reserve(at + RECORD_HEADER_BYTES);
    this.#recordCount++;
    const scratch = this.#scratch;
    scratch.writeUInt8(type, at);
    scratch.writeUInt8(kind, at + 1);
    scratch.writeUInt16LE(flags, at + 2);
    scratch.writeUInt32LE(groupId, at + 4);
    writeU53(scratch, term, at + 8);
    writeU53(scratch, index, at + 16);
    return at;
  }

  /** `seed` is the segment's. The frame may be finished again for another segment. */
  finish(sequence: number, seed: number): Uint8Array[] {
    const headerBytes = this.payloadStart;
    this.#reserve(headerBytes + this.#copiedBytes);
    const scratch = this.#scratch;
    const recordsCrc = checksum(scratch.subarray(FRAME_HEADER_BYTES, headerBytes));
    encodeFrameHeader(
      scratch,
      { frameBytes: this.frameBytes, recordCount: this.#recordCount, sequence, recordsCrc },
      seed,
    );
    const buffers: Uint8Array[] = [];
    let from = 0;
    let to = headerBytes;
    for (const payload of this.#payloads) {
      if (payload.length < COPY_BELOW_BYTES) {
        scratch.set(payload, to);
        to += payload.length;
        continue;
      }
      if (to > from) buffers.push(scratch.subarray(from, to));
      buffers.push(payload);
      from = to;
    }
    if (to > from) buffers.push(scratch.subarray(from, to));
    return buffers;
  }

  #reserve(sizeBytes: number): void {
    if (sizeBytes <= this.#scratch.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(sizeBytes, this.#scratch.length * 2));
    this.#scratch.copy(grown, 0, 0, Math.min(this.payloadStart, this.#scratch.length));
    this.#scratch = grown;
  }
}
