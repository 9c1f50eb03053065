import $protobuf from 'protobufjs/minimal.js';
import { type Codec, readerOf, reading, wireInvalid } from './codec.ts';

/** Field 1, length-delimited: the one field of every batch message in proto/v1. */
const MESSAGES_TAG = 10;
/** A payload of at least this size is passed on as it is; each piece costs a vector of the write, and a few objects. */
export const PIECE_BYTES_MIN = 8 * 1024;

/** Finished, and not copied anywhere yet. */
export class Frame {
  readonly length: number;
  readonly #first: Operation | undefined;

  constructor(first: Operation | undefined, length: number) {
    this.#first = first;
    this.length = length;
  }

  /**
   * The bytes in pieces, large payloads where they lie: nothing of them is copied until the kernel does, so they must not
   * change before. The first piece begins with `headBytes` of room.
   */
  pieces(headBytes: number): Uint8Array[] {
    let copiedBytes = headBytes + this.length;
    for (let at = this.#first; at; at = at.next) if (isPiece(at)) copiedBytes -= at.len;
    const copied = Buffer.allocUnsafe(copiedBytes);
    const pieces: Uint8Array[] = [];
    let start = 0;
    let end = headBytes;
    for (let at = this.#first; at; at = at.next) {
      if (isPiece(at)) {
        pieces.push(copied.subarray(start, end), at.val as Uint8Array);
        start = end;
        continue;
      }
      at.fn(at.val, copied, end);
      end += at.len;
    }
    if (end > start) pieces.push(copied.subarray(start, end));
    return pieces;
  }
}

/** What a protobuf writer keeps until it is finished: one write of known length each. */
interface Operation {
  readonly len: number;
  readonly val: unknown;
  next: Operation | undefined;
  fn(value: unknown, bytes: Uint8Array, at: number): void;
}

function isPiece({ len, val }: Operation): boolean {
  return len >= PIECE_BYTES_MIN && val instanceof Uint8Array;
}

/**
 * What one turn sends on a channel, as one gRPC message: each costs a write of HTTP/2 and a look at both ends, however
 * small it is.
 */
export class FrameWriter<T> {
  readonly #codec: Codec<T>;
  #writer = $protobuf.Writer.create();
  #sizeBytes = 0;
  /** The last operation before the newest message, and the size up to there. */
  #endBefore = this.#writer.tail as Operation;
  #sizeBefore = 0;

  constructor(codec: Codec<T>) {
    this.#codec = codec;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** @returns by how many bytes the frame grew. The bytes of the message must not change any more. */
  add(message: T): number {
    const writer = this.#writer;
    this.#endBefore = writer.tail as Operation;
    this.#sizeBefore = this.#sizeBytes;
    this.#codec.write(message, writer.uint32(MESSAGES_TAG).fork());
    writer.ldelim();
    this.#sizeBytes = writer.len;
    return this.#sizeBytes - this.#sizeBefore;
  }

  /** Empties the writer. */
  finish(): Frame {
    const frame = new Frame((this.#writer.head as Operation).next, this.#sizeBytes);
    this.#writer = $protobuf.Writer.create();
    this.#sizeBytes = 0;
    return frame;
  }

  /** What was added before the newest message, which begins the next frame. */
  finishBeforeNewest(): Frame {
    const writer = this.#writer;
    const { head, tail } = writer as { head: Operation; tail: Operation };
    const [first, newest, length] = [head.next, this.#endBefore.next, this.#sizeBefore];
    this.#endBefore.next = undefined;
    writer.reset();
    const empty = writer.head as Operation;
    empty.next = newest;
    writer.tail = tail;
    this.#sizeBytes -= length;
    writer.len = this.#sizeBytes;
    return new Frame(first, length);
  }
}

/** Where the messages of a frame begin and end. Checked as a whole before the first is handed out. */
export function splitFrame(frame: Uint8Array): Uint8Array[] {
  return reading('frame', () => {
    const reader = readerOf(frame);
    const messages: Uint8Array[] = [];
    while (reader.pos < reader.len) {
      if (reader.uint32() !== MESSAGES_TAG) throw wireInvalid('a frame holds messages only');
      const length = reader.uint32();
      if (length > reader.len - reader.pos) throw wireInvalid('a message ends beyond its frame');
      messages.push(reader.buf.subarray(reader.pos, reader.pos + length));
      reader.pos += length;
    }
    return messages;
  });
}
