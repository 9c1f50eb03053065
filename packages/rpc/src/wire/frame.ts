import { type Codec, newWriter, readerOf, reading, type WireWriter, wireInvalid } from './codec.ts';

/** Field 1, length-delimited: the one field of every batch message in proto/v1. */
const MESSAGES_TAG = 10;

/**
 * What one turn sends on a channel, as one gRPC message: gRPC costs a write, a promise and a few timers' worth of
 * processor time for each of its messages, however small.
 */
export class FrameWriter<T> {
  readonly #codec: Codec<T>;
  #writer: WireWriter | undefined;
  #sizeBytes = 0;

  constructor(codec: Codec<T>) {
    this.#codec = codec;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** @returns by how many bytes the frame grew. */
  add(message: T): number {
    this.#writer ??= newWriter();
    const writer = this.#writer;
    this.#codec.write(message, writer.uint32(MESSAGES_TAG).fork());
    writer.ldelim();
    const grown = writer.len - this.#sizeBytes;
    this.#sizeBytes = writer.len;
    return grown;
  }

  /** Empties the writer. */
  finish(): Uint8Array {
    const frame = this.#writer?.finish() ?? new Uint8Array(0);
    this.#writer = undefined;
    this.#sizeBytes = 0;
    return frame;
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
