import { assert } from '@sluice/common/assert';
import { SluiceError } from '@sluice/common/errors';
import { CommandKind, writeCommandHeader } from '../machine/command/command-header.ts';
import { varintBytes, writeU32, writeU53, writeVarint } from './byte-cursor.ts';
import type { RecordInput, RecordProperties, RecordTarget } from './record.ts';
import {
  BATCH_COUNT_AT,
  BATCH_EXCHANGES,
  BATCH_FLAGS_AT,
  BATCH_HEADER_BYTES,
  BATCH_KEYED,
  BATCH_NUMBERED,
  BATCH_ORIGIN_BYTES,
  BATCH_RECORDS_MAX,
  KEY_BYTES_MAX,
  RECORD_EXCHANGE,
  RECORD_EXPIRES,
  RECORD_PROPERTIES,
  RECORD_RETAIN,
  TEXT_BYTES_MAX,
} from './record-format.ts';
import { propertiesBytes, writeProperties, writeText16 } from './record-properties.ts';
import { textBytesMax } from './record-size.ts';

/** Small batches share a slab, one behind the other: no allocation and no zeroing a batch. */
const SLAB_BYTES = 64 * 1024;
/** A batch that outgrew its slab tells how large the next one may get; more than this is not reserved on suspicion. */
const FORESIGHT_BYTES_MAX = 1024 * 1024;

/**
 * Encodes records as they arrive. A payload often lies in a socket's buffer that is read into again soon, so it cannot
 * be kept until the batch is sent: `add` copies it at once, to where it stays. Growing in the middle of a batch would
 * copy again, so room for a batch is reserved by the size of the one before. `finish` hands the bytes out without
 * copying them and starts anew; nothing is written into them afterwards but the leader's stamp and, in a `numbered` one,
 * its origin. A large payload that came in a buffer of its own stays there (`around`).
 */
export class RecordBatchBuilder {
  readonly #flags: number;
  readonly #headerBytes: number;
  #slab: Buffer = Buffer.allocUnsafeSlow(SLAB_BYTES);
  #start = 0;
  #at: number;
  #count = 0;
  #isKeyed = false;
  #hasExchanges = false;
  #lastBytes = 0;

  /** `numbered`: batches have room for an origin, which is written before they are sent (`writeBatchOrigin`). */
  constructor(kind: 'plain' | 'numbered' = 'plain') {
    this.#flags = kind === 'numbered' ? BATCH_NUMBERED : 0;
    this.#headerBytes = BATCH_HEADER_BYTES + (kind === 'numbered' ? BATCH_ORIGIN_BYTES : 0);
    this.#at = this.#headerBytes;
  }

  /** Of the batch so far, its header included. */
  get sizeBytes(): number {
    return this.#at - this.#start;
  }
  get count(): number {
    return this.#count;
  }
  /** `BATCH_RECORDS_MAX` is reached: finish before the next record. */
  get isFull(): boolean {
    return this.#count >= BATCH_RECORDS_MAX;
  }

  /**
   * Returns the record's slot in the batch.
   * @throws SluiceError `RECORD_INVALID` for what the format cannot carry; the batch is as it was.
   */
  add(record: RecordInput): number {
    assert(this.#count < BATCH_RECORDS_MAX, 'a full batch is finished before the next record');
    const targets = ascending(record.targets);
    this.#reserve(checkedHeadBytesMax(record, targets) + record.payload.length);
    const at = this.#writeHead(record, targets);
    this.#slab.set(record.payload, at);
    this.#at = at + record.payload.length;
    return this.#count++;
  }

  /**
   * The batch of this record alone, made around its payload where that lies: what comes before it is written in front of
   * it. Undefined where that cannot be: the buffer is not the record's own, has no room, or holds other parts of it.
   * @throws SluiceError `RECORD_INVALID` for what the format cannot carry
   */
  around(record: RecordInput): Uint8Array | undefined {
    assert(this.#count === 0, 'the batch that gathers is finished before a record that has one for itself');
    const { payload } = record;
    if (record.ownsBuffer !== true || record.properties?.correlationData !== undefined) return undefined;
    const targets = ascending(record.targets);
    this.#reserve(checkedHeadBytesMax(record, targets));
    const head = this.#slab.subarray(this.#start, this.#writeHead(record, targets));
    const contents = this.#takeContents();
    if (head.length > payload.byteOffset) return undefined;
    const batch = new Uint8Array(payload.buffer, payload.byteOffset - head.length, head.length + payload.length);
    batch.set(head);
    this.#writeBatchHead(batch, 1, contents);
    return batch;
  }

  /** Of a record at the batch's end, up to where its payload begins: there is room for it. */
  #writeHead(record: RecordInput, targets: readonly RecordTarget[]): number {
    const bytes = this.#slab;
    const start = this.#at;
    let flags: number = record.qos;
    if (record.retain) flags |= RECORD_RETAIN;
    let at = writeU53(bytes, start + 5, record.publishedAtMs);
    if (record.expiresAtMs !== 0) {
      flags |= RECORD_EXPIRES;
      at = writeU53(bytes, at, record.expiresAtMs);
    }
    if (record.exchange !== undefined) {
      flags |= RECORD_EXCHANGE;
      this.#hasExchanges = true;
      at = writeU53(bytes, at, record.exchange.number);
      at = writeU53(bytes, at, record.exchange.floor);
    }
    at = writeVarint(bytes, at, targets.length);
    for (let i = 0; i < targets.length; i++) {
      const target = targets[i] as RecordTarget;
      at = writeVarint(bytes, at, target.queueId);
      if (target.key === undefined) {
        bytes[at++] = 0;
      } else {
        this.#isKeyed = true;
        at = writeVarint(bytes, at, target.key.length + 1);
        bytes.set(target.key, at);
        at += target.key.length;
      }
    }
    at = writeText16(bytes, at, record.publisher);
    at = writeText16(bytes, at, record.topic);
    if (record.properties !== undefined) {
      flags |= RECORD_PROPERTIES;
      const end = writeProperties(bytes, at + 4, record.properties);
      writeU32(bytes, at, end - at - 4);
      at = end;
    }
    bytes[start + 4] = flags;
    writeU32(bytes, start, at + record.payload.length - start - 4);
    return at;
  }

  /** What the records since the last batch have, as its flags. */
  #takeContents(): number {
    const contents = (this.#isKeyed ? BATCH_KEYED : 0) | (this.#hasExchanges ? BATCH_EXCHANGES : 0);
    this.#isKeyed = false;
    this.#hasExchanges = false;
    return contents;
  }

  #writeBatchHead(batch: Uint8Array, count: number, contents: number): void {
    writeCommandHeader(batch, CommandKind.RECORD_BATCH);
    batch[BATCH_FLAGS_AT] = this.#flags | contents;
    writeU32(batch, BATCH_COUNT_AT, count);
  }

  /** The batch, ready to be proposed; the builder is empty again. */
  finish(): Uint8Array {
    assert(this.#count > 0, 'an empty batch is not worth an entry');
    const start = this.#start;
    const end = this.#at;
    const batch = new Uint8Array(this.#slab.buffer, this.#slab.byteOffset + start, end - start);
    this.#writeBatchHead(batch, this.#count, this.#takeContents());
    // A lone record says nothing about how much comes together.
    this.#lastBytes = this.#count === 1 ? 0 : end - start;
    this.#start = end;
    this.#at = end + this.#headerBytes;
    this.#count = 0;
    return batch;
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#slab.length) return;
    const used = this.#at - this.#start;
    let capacity = used + bytes;
    // A large record has its memory for itself: room beside it would be held for as long as the record is.
    if (bytes < SLAB_BYTES) {
      capacity = Math.max(SLAB_BYTES, capacity, Math.min(this.#lastBytes + bytes, FORESIGHT_BYTES_MAX));
    }
    if (this.#count > 0) capacity = Math.max(capacity, used * 2);
    const grown = Buffer.allocUnsafeSlow(capacity);
    if (this.#count > 0) grown.set(this.#slab.subarray(this.#start, this.#at));
    this.#slab = grown;
    this.#start = 0;
    this.#at = used;
  }
}

/** An upper bound of the record's encoded size without its payload, once everything is known to fit the format. */
function checkedHeadBytesMax(record: RecordInput, targets: readonly RecordTarget[]): number {
  if (targets.length === 0) throw invalid('it has no target');
  checkTime(record.publishedAtMs, 'publish time');
  checkTime(record.expiresAtMs, 'expiry');
  checkText(record.publisher, 'publisher');
  checkText(record.topic, 'topic');
  const { exchange } = record;
  if (exchange !== undefined && (exchange.floor < 1 || exchange.floor > exchange.number)) {
    throw invalid(`exchange ${exchange.number} with those below ${exchange.floor} over`);
  }
  let bytes = 4 + 1 + 8 + 8 + (exchange === undefined ? 0 : 16) + varintBytes(targets.length);
  bytes += 4 + textBytesMax(record.publisher) + textBytesMax(record.topic);
  let before = 0;
  for (let i = 0; i < targets.length; i++) {
    const { queueId, key } = targets[i] as RecordTarget;
    if (!Number.isSafeInteger(queueId) || queueId <= 0) throw invalid(`queue id ${queueId} is not a positive integer`);
    if (queueId === before) throw invalid(`queue ${queueId} is a target twice`);
    before = queueId;
    const keyBytes = key === undefined ? 0 : key.length;
    if (keyBytes > KEY_BYTES_MAX) throw invalid(`a key has ${keyBytes} bytes, more than ${KEY_BYTES_MAX}`);
    bytes += 8 + 3 + keyBytes;
  }
  if (record.properties !== undefined) {
    checkProperties(record.properties);
    bytes += 4 + propertiesBytes(record.properties, textBytesMax);
  }
  const recordBytes = bytes + record.payload.length;
  if (recordBytes > 0x7fff_ffff) throw invalid(`${recordBytes} bytes do not fit a batch`);
  return bytes;
}

function checkProperties(properties: RecordProperties): void {
  if (properties.contentType !== undefined) checkText(properties.contentType, 'content type');
  if (properties.responseTopic !== undefined) checkText(properties.responseTopic, 'response topic');
  if (properties.correlationData !== undefined && properties.correlationData.length > TEXT_BYTES_MAX) {
    throw invalid(`correlation data of ${properties.correlationData.length} bytes`);
  }
  const texts = properties.userProperties;
  if (texts === undefined) return;
  if (texts.length % 2 !== 0 || texts.length > 0xffff) throw invalid(`${texts.length} strings of user properties`);
  for (const text of texts) checkText(text, 'user property');
}

function checkText(text: string, what: string): void {
  if (textBytesMax(text) > TEXT_BYTES_MAX && Buffer.byteLength(text) > TEXT_BYTES_MAX) {
    throw invalid(`${what} is longer than ${TEXT_BYTES_MAX} bytes`);
  }
}

function checkTime(timeMs: number, what: string): void {
  if (!Number.isSafeInteger(timeMs) || timeMs < 0) throw invalid(`${what} ${timeMs} is no time in whole milliseconds`);
}

/** The format wants targets ascending; most records have one. */
function ascending(targets: readonly RecordTarget[]): readonly RecordTarget[] {
  for (let i = 1; i < targets.length; i++) {
    if ((targets[i] as RecordTarget).queueId < (targets[i - 1] as RecordTarget).queueId) {
      return [...targets].sort((a, b) => a.queueId - b.queueId);
    }
  }
  return targets;
}

function invalid(why: string): SluiceError {
  return new SluiceError('RECORD_INVALID', `the record cannot be kept: ${why}`);
}
