import { COMMAND_VERSION, CommandKind } from '../machine/command/command-header.ts';
import type { BatchOrigin } from './batch-origin.ts';
import { ByteCursor } from './byte-cursor.ts';
import {
  BATCH_COUNT_AT,
  BATCH_EXCHANGES,
  BATCH_FLAGS_AT,
  BATCH_FLAGS_KNOWN,
  BATCH_HEADER_BYTES,
  BATCH_KEYED,
  BATCH_NUMBERED,
  BATCH_RECORDS_MAX,
  batchMalformed,
  KEY_BYTES_MAX,
  RECORD_EXCHANGE,
  RECORD_EXPIRES,
  RECORD_FLAGS_KNOWN,
  RECORD_PROPERTIES,
  RECORD_QOS,
} from './record-format.ts';

/**
 * Walks the records of a batch and the targets of each, reading what a store needs and nothing else; publisher, topic,
 * properties and payload stay unread. Its fields describe the record, and the target, it stands on. One cursor is reset
 * for each batch, so a walk allocates nothing. @hotpath
 */
export class RecordCursor {
  readonly #cursor = new ByteCursor();
  #next = 0;
  #count = 0;
  #batchEnd = 0;
  #targetsLeft = 0;

  isKeyed = false;
  hasExchanges = false;
  /** Undefined: the batch does not say. */
  origin: BatchOrigin | undefined = undefined;
  /** Number of the record in its batch; -1 before the first `next`. */
  slot = -1;
  /** Where the record begins in the batch. */
  start = 0;
  sizeBytes = 0;
  flags = 0;
  /** 0 for never. */
  expiresAtMs = 0;
  /** 0: it does not say which exchange of its publisher it is. */
  exchangeNumber = 0;
  exchangeFloor = 0;
  targetCount = 0;

  queueId = 0;
  keyAt = 0;
  /** -1 without a key. */
  keyLength = -1;

  reset(batch: Uint8Array): void {
    if (batch.length < BATCH_HEADER_BYTES) throw batchMalformed(`a batch of ${batch.length} bytes has no header`);
    if (batch[0] !== CommandKind.RECORD_BATCH || batch[1] !== COMMAND_VERSION) {
      throw batchMalformed(`kind ${batch[0]} version ${batch[1]} is no record batch known here`);
    }
    const flags = batch[BATCH_FLAGS_AT] as number;
    if (flags > BATCH_FLAGS_KNOWN) throw batchMalformed(`unknown batch flags ${flags}`);
    this.isKeyed = (flags & BATCH_KEYED) !== 0;
    this.hasExchanges = (flags & BATCH_EXCHANGES) !== 0;
    this.exchangeNumber = 0;
    this.exchangeFloor = 0;
    this.#cursor.reset(batch, BATCH_COUNT_AT);
    this.#count = this.#cursor.u32();
    if (this.#count === 0 || this.#count > BATCH_RECORDS_MAX) {
      throw batchMalformed(`a batch has 1 to ${BATCH_RECORDS_MAX} records, not ${this.#count}`);
    }
    this.origin = flags & BATCH_NUMBERED ? this.#readOrigin() : undefined;
    this.#next = this.#cursor.at;
    this.#batchEnd = batch.length;
    this.#targetsLeft = 0;
    this.slot = -1;
  }

  get count(): number {
    return this.#count;
  }

  #readOrigin(): BatchOrigin {
    const cursor = this.#cursor;
    const producer = cursor.u53();
    const sequence = cursor.u53();
    const after = sequence - cursor.u32();
    const answeredTo = sequence - cursor.u32();
    if (producer === 0 || after < 0 || after >= sequence || answeredTo < 0 || answeredTo >= sequence) {
      throw batchMalformed(`batch ${sequence} of producer ${producer} after ${after}, answered to ${answeredTo}`);
    }
    return { producer, sequence, after, answeredTo };
  }

  /** To the next record, whether or not the targets of this one were read; false behind the last. */
  next(): boolean {
    const cursor = this.#cursor;
    const start = this.#next;
    this.#targetsLeft = 0;
    if (this.slot + 1 >= this.#count) {
      if (start !== this.#batchEnd) throw batchMalformed(`${this.#batchEnd - start} bytes after the last record`);
      this.slot = this.#count;
      return false;
    }
    cursor.at = start;
    cursor.end = this.#batchEnd;
    const length = cursor.u32();
    const end = cursor.at + length;
    if (end > this.#batchEnd) throw batchMalformed(`record ${this.slot + 1} ends behind its batch`);
    cursor.end = end;
    this.flags = cursor.u8();
    if ((this.flags & ~RECORD_FLAGS_KNOWN) !== 0 || (this.flags & RECORD_QOS) === RECORD_QOS) {
      throw batchMalformed(`record ${this.slot + 1} has unknown flags ${this.flags}`);
    }
    cursor.skip(8);
    this.expiresAtMs = this.flags & RECORD_EXPIRES ? cursor.u53() : 0;
    if (this.hasExchanges) this.#readExchange();
    else if (this.flags & RECORD_EXCHANGE) throw batchMalformed(`unexpected exchange in record ${this.slot + 1}`);
    this.targetCount = cursor.varint();
    if (this.targetCount === 0) throw batchMalformed(`record ${this.slot + 1} has no target`);
    this.#targetsLeft = this.targetCount;
    this.queueId = 0;
    this.start = start;
    this.sizeBytes = length + 4;
    this.#next = end;
    this.slot++;
    return true;
  }

  #readExchange(): void {
    const isOne = (this.flags & RECORD_EXCHANGE) !== 0;
    this.exchangeNumber = isOne ? this.#cursor.u53() : 0;
    this.exchangeFloor = isOne ? this.#cursor.u53() : 0;
    if (isOne && (this.exchangeFloor === 0 || this.exchangeFloor > this.exchangeNumber)) {
      throw batchMalformed(`exchange ${this.exchangeNumber} with those below ${this.exchangeFloor} over`);
    }
  }

  nextTarget(): boolean {
    if (this.#targetsLeft === 0) return false;
    this.#targetsLeft--;
    const cursor = this.#cursor;
    const queueId = cursor.varint();
    if (queueId <= this.queueId) throw batchMalformed(`targets of record ${this.slot} do not ascend`);
    this.queueId = queueId;
    const keyLength = cursor.varint() - 1;
    this.keyLength = keyLength;
    if (keyLength >= 0) {
      if (!this.isKeyed || keyLength > KEY_BYTES_MAX) throw batchMalformed(`unexpected key in record ${this.slot}`);
      this.keyAt = cursor.skip(keyLength);
    }
    return true;
  }

  /** Looks beyond the targets that are still to come, and stays where it is. */
  get isPayloadEmpty(): boolean {
    const cursor = this.#cursor;
    const { at } = cursor;
    this.#skipTargets();
    cursor.skip(cursor.u16());
    cursor.skip(cursor.u16());
    if (this.flags & RECORD_PROPERTIES) cursor.skip(cursor.u32());
    const isEmpty = cursor.at === cursor.end;
    cursor.at = at;
    return isEmpty;
  }

  /** The client id, as UTF-8; a view into the batch. Looks ahead likewise. */
  get publisher(): Uint8Array {
    const cursor = this.#cursor;
    const { at } = cursor;
    this.#skipTargets();
    const publisher = cursor.raw(cursor.u16());
    cursor.at = at;
    return publisher;
  }

  #skipTargets(): void {
    const cursor = this.#cursor;
    for (let left = this.#targetsLeft; left > 0; left--) {
      cursor.varint();
      cursor.skip(Math.max(0, cursor.varint() - 1));
    }
  }

  /** A view into the batch; only when `keyLength` is not -1. */
  key(): Uint8Array {
    return this.#cursor.bytes.subarray(this.keyAt, this.keyAt + this.keyLength);
  }
}
