import { SluiceError } from '@sluice/common/errors';

/** Before each message: whether it is compressed, and its length. */
export const PREFIX_BYTES = 5;
/** Room for a message is made at once up to this size; beyond, with what has arrived: its length is a claim. */
const BELIEVED_BYTES = 4 * 1024 * 1024;

export function writePrefix(bytes: Uint8Array, length: number): void {
  bytes[0] = 0;
  bytes[1] = length >>> 24;
  bytes[2] = length >>> 16;
  bytes[3] = length >>> 8;
  bytes[4] = length;
}

/**
 * Chunks of a stream in, gRPC messages out. One that lies within a chunk is a view into it; another is put together as
 * its chunks come, so that they are garbage at once and not together with it.
 *
 * @hotpath
 */
export class MessageReader {
  readonly #sizeMax: number;
  readonly #onMessage: (message: Uint8Array) => void;
  readonly #prefix = new Uint8Array(PREFIX_BYTES);
  #prefixBytes = 0;
  /** Of the message whose prefix is complete. */
  #length = 0;
  #message: Buffer | undefined = undefined;
  #filled = 0;

  constructor(sizeMax: number, onMessage: (message: Uint8Array) => void) {
    this.#sizeMax = sizeMax;
    this.#onMessage = onMessage;
  }

  /** Nothing of a message has come that is not whole. */
  get isBetween(): boolean {
    return this.#prefixBytes === 0;
  }

  /** @throws SluiceError `MESSAGE_COMPRESSED`, `MESSAGE_TOO_LARGE`; nothing is read after it. */
  push(chunk: Buffer): void {
    let at = 0;
    for (;;) {
      if (this.#prefixBytes < PREFIX_BYTES) {
        while (this.#prefixBytes < PREFIX_BYTES && at < chunk.length) {
          this.#prefix[this.#prefixBytes++] = chunk[at++] as number;
        }
        if (this.#prefixBytes < PREFIX_BYTES) return;
        this.#begin();
      }
      const missing = this.#length - this.#filled;
      const here = Math.min(missing, chunk.length - at);
      if (this.#message === undefined && here === missing) {
        const message = chunk.subarray(at, at + here);
        at += here;
        this.#end(message);
      } else if (here === 0) return;
      else {
        this.#keep(chunk, at, here);
        at += here;
        if (here === missing) this.#end(this.#message as Buffer);
      }
      if (at === chunk.length) return;
    }
  }

  #begin(): void {
    const prefix = this.#prefix;
    if (prefix[0] !== 0) throw new SluiceError('MESSAGE_COMPRESSED', 'a message is compressed, which was not agreed');
    const high = ((prefix[1] as number) << 16) | ((prefix[2] as number) << 8) | (prefix[3] as number);
    this.#length = high * 0x100 + (prefix[4] as number);
    if (this.#length > this.#sizeMax) {
      throw new SluiceError(
        'MESSAGE_TOO_LARGE',
        `a message of ${this.#length} bytes, at most ${this.#sizeMax} are taken`,
      );
    }
  }

  #keep(chunk: Buffer, at: number, count: number): void {
    const needed = this.#filled + count;
    if (this.#message === undefined || needed > this.#message.length) {
      const capacity = Math.min(this.#length, Math.max(BELIEVED_BYTES, 2 * needed));
      const grown = Buffer.allocUnsafeSlow(capacity);
      this.#message?.copy(grown, 0, 0, this.#filled);
      this.#message = grown;
    }
    chunk.copy(this.#message, this.#filled, at, at + count);
    this.#filled = needed;
  }

  #end(message: Uint8Array): void {
    this.#prefixBytes = 0;
    this.#message = undefined;
    this.#filled = 0;
    this.#onMessage(message);
  }
}
