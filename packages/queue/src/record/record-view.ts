import { ByteCursor, readU32, readU53, textOf } from './byte-cursor.ts';
import type { RecordExchange, RecordProperties, RecordTarget } from './record.ts';
import {
  batchMalformed,
  RECORD_EXCHANGE,
  RECORD_EXPIRES,
  RECORD_PROPERTIES,
  RECORD_QOS,
  RECORD_RETAIN,
} from './record-format.ts';
import { readProperties } from './record-properties.ts';

/** Lazy reads over the bytes of one record; nothing is copied or decoded before it is asked for. */
export interface RecordView {
  readonly topic: string;
  /** A view into the batch. */
  readonly payload: Uint8Array;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly publisher: string;
  readonly publishedAtMs: number;
  /** 0 for never. */
  readonly expiresAtMs: number;
  readonly properties: RecordProperties | undefined;
  /** Of the whole encoded record. */
  readonly sizeBytes: number;
}

/** Every read resets it first, so one serves all views. */
const scratch = new ByteCursor();

/** The bytes of the record at `start`: what a delivery passes on. A view. */
export function encodedRecordAt(batch: Uint8Array, start: number): Uint8Array {
  return batch.subarray(start, endOfRecord(batch, start));
}

function endOfRecord(bytes: Uint8Array, start: number): number {
  if (bytes.length - start < 13) throw batchMalformed(`no record at ${start} of ${bytes.length} bytes`);
  const end = start + 4 + readU32(bytes, start);
  if (end > bytes.length || end < start + 13) throw batchMalformed(`the record at ${start} does not fit its bytes`);
  return end;
}

/**
 * A record inside a batch, or alone as a delivery carries it (`start` 0). Variable parts lie behind each other, so the
 * first question about one of them finds them all, once.
 */
export class EncodedRecord implements RecordView {
  readonly #bytes: Uint8Array;
  readonly #start: number;
  readonly #end: number;
  readonly #flags: number;
  #targetsAt = 0;
  #publisherAt = 0;
  #topicAt = 0;
  #propertiesAt = 0;
  /** 0 until the parts were found. */
  #payloadAt = 0;

  /** @throws SluiceError `RECORD_BATCH_MALFORMED` or `BYTES_MALFORMED`, here or at a later read. */
  constructor(bytes: Uint8Array, start = 0) {
    this.#bytes = bytes;
    this.#start = start;
    this.#end = endOfRecord(bytes, start);
    this.#flags = bytes[start + 4] as number;
  }

  get sizeBytes(): number {
    return this.#end - this.#start;
  }
  /** The encoded record itself: what a delivery passes on. A view. */
  get encoded(): Uint8Array {
    return this.#bytes.subarray(this.#start, this.#end);
  }
  get qos(): 0 | 1 | 2 {
    const qos = this.#flags & RECORD_QOS;
    return qos === 2 ? 2 : qos === 1 ? 1 : 0;
  }
  get retain(): boolean {
    return (this.#flags & RECORD_RETAIN) !== 0;
  }
  get publishedAtMs(): number {
    return readU53(this.#bytes, this.#start + 5);
  }
  get expiresAtMs(): number {
    if (!(this.#flags & RECORD_EXPIRES)) return 0;
    this.#locate();
    return readU53(this.#bytes, this.#start + 13);
  }
  get exchange(): RecordExchange | undefined {
    if (!(this.#flags & RECORD_EXCHANGE)) return undefined;
    this.#locate();
    const at = this.#start + (this.#flags & RECORD_EXPIRES ? 21 : 13);
    return { number: readU53(this.#bytes, at), floor: readU53(this.#bytes, at + 8) };
  }
  get targets(): RecordTarget[] {
    this.#locate();
    const targets: RecordTarget[] = [];
    scratch.reset(this.#bytes, this.#targetsAt, this.#end);
    for (let left = scratch.varint(); left > 0; left--) {
      const queueId = scratch.varint();
      const keyLength = scratch.varint() - 1;
      targets.push({ queueId, key: keyLength < 0 ? undefined : scratch.raw(keyLength) });
    }
    return targets;
  }
  get publisher(): string {
    this.#locate();
    return textOf(this.#bytes, this.#publisherAt + 2, this.#topicAt);
  }
  get topic(): string {
    this.#locate();
    return textOf(this.#bytes, this.#topicAt + 2, this.#propertiesAt);
  }
  get properties(): RecordProperties | undefined {
    if (!(this.#flags & RECORD_PROPERTIES)) return undefined;
    this.#locate();
    scratch.reset(this.#bytes, this.#propertiesAt + 4, this.#payloadAt);
    return readProperties(scratch);
  }
  get payload(): Uint8Array {
    this.#locate();
    return this.#bytes.subarray(this.#payloadAt, this.#end);
  }

  /** Reads what no cursor over the batch looks at, so that later reads of a checked record cannot fail. */
  check(): void {
    scratch.reset(this.#bytes, this.#start + 5, this.#end);
    scratch.u53();
    this.#locate();
    void this.properties;
  }

  #locate(): void {
    if (this.#payloadAt !== 0) return;
    const headBytes = (this.#flags & RECORD_EXPIRES ? 21 : 13) + (this.#flags & RECORD_EXCHANGE ? 16 : 0);
    scratch.reset(this.#bytes, this.#start + headBytes, this.#end);
    if (scratch.at > scratch.end) throw batchMalformed(`the record at ${this.#start} is cut short`);
    this.#targetsAt = scratch.at;
    for (let left = scratch.varint(); left > 0; left--) {
      scratch.varint();
      const keyLength = scratch.varint() - 1;
      if (keyLength > 0) scratch.skip(keyLength);
    }
    this.#publisherAt = scratch.at;
    scratch.skip(scratch.u16());
    this.#topicAt = scratch.at;
    scratch.skip(scratch.u16());
    this.#propertiesAt = scratch.at;
    if (this.#flags & RECORD_PROPERTIES) scratch.skip(scratch.u32());
    this.#payloadAt = scratch.at;
  }
}
