import { Inbox } from '../inbox.ts';
import type { Channel } from '../transport.ts';
import type { Codec } from '../wire/codec.ts';
import { type Frame, FrameWriter, splitFrame } from '../wire/frame.ts';
import { FRAME_BYTES, MESSAGE_BYTES_MAX, UNSENT_BYTES_MAX } from './limits.ts';

/** What a channel does to its gRPC stream. */
export interface StreamEnd {
  /** `flushed` once the bytes have left this node; never when the stream breaks first. */
  write(frame: Frame, flushed: () => void): void;
  /** The channel is closed: what is still unsent has a bounded time left. */
  closing(): void;
  /** What was written arrives first. */
  end(): void;
  /** At once. */
  abort(reason: 'invalid' | 'unsendable', detail: string): void;
  pause(): void;
  resume(): void;
}

/**
 * A channel over one gRPC stream, the same for both ends. Messages sent in one turn leave as one frame; while a frame is
 * on its way to the socket, what is sent gathers for the next, so that load makes frames larger, not more.
 *
 * Received messages reach the listener in a microtask: what it throws is a bug and ends the process, where gRPC would
 * turn it into the status of a stream.
 */
export class StreamChannel implements Channel<unknown, unknown> {
  readonly #stream: StreamEnd;
  readonly #frame: FrameWriter<unknown>;
  readonly #incoming: Codec<unknown>;
  /** Finished frames before the one that is being filled. */
  #sealed: Frame[] = [];
  #sealedBytes = 0;
  #flyingBytes = 0;
  #flushScheduled = false;
  /** Of an opening end, until it is accepted. */
  isPending = false;
  readonly #inbox = new Inbox(() => {
    if (this.#peerEnded) this.close();
  });
  #closeListener: (() => void) | undefined;
  #closed = false;
  #peerEnded = false;
  /** The stream takes nothing any more, or was told that nothing comes. */
  #streamOver = false;
  readonly #flush = (): void => this.#flushNow();
  readonly #flushed = (): void => this.#onFlushed();

  constructor(stream: StreamEnd, outgoing: Codec<unknown>, incoming: Codec<unknown>) {
    this.#stream = stream;
    this.#frame = new FrameWriter(outgoing);
    this.#incoming = incoming;
  }

  get unsentBytes(): number {
    return this.#frame.sizeBytes + this.#sealedBytes + this.#flyingBytes;
  }

  get closed(): boolean {
    return this.#closed;
  }

  send(message: unknown): void {
    if (this.#closed) return;
    let grown: number;
    try {
      grown = this.#frame.add(message);
    } catch (error) {
      // Half a message is in the frame now: nothing of it may leave.
      this.#stream.abort('unsendable', error instanceof Error ? error.message : String(error));
      this.lost();
      throw error;
    }
    if (grown > MESSAGE_BYTES_MAX || this.unsentBytes > UNSENT_BYTES_MAX) {
      this.#stream.abort('unsendable', `${grown} bytes of one message, ${this.unsentBytes} unsent`);
      this.lost();
      return;
    }
    // What came before it is small, and together they would be more than the peer takes.
    if (this.#frame.sizeBytes > MESSAGE_BYTES_MAX) this.#seal(this.#frame.finishBeforeNewest());
    if (this.#frame.sizeBytes >= FRAME_BYTES) this.#seal(this.#frame.finish());
    if (this.#flushScheduled || this.#flyingBytes > 0) return;
    this.#flushScheduled = true;
    queueMicrotask(this.#flush);
  }

  onMessage(listener: (message: unknown) => void): void {
    this.#inbox.listen(listener);
    if (this.#streamOver) return;
    this.#stream.resume();
    this.#inbox.handOver(queueMicrotask);
  }

  onClose(listener: () => void): void {
    this.#closeListener = listener;
    if (this.#closed) queueMicrotask(listener);
  }

  close(): void {
    if (this.#closed) return;
    this.#end();
    this.#stream.closing();
    this.#endStreamWhenFlushed();
  }

  /** A frame from the peer. */
  receive(frame: Uint8Array): void {
    if (this.#closed) return;
    let messages: unknown[];
    try {
      messages = splitFrame(frame).map((message) => this.#incoming.read(message));
    } catch (error) {
      this.#stream.abort('invalid', error instanceof Error ? error.message : String(error));
      this.lost();
      return;
    }
    for (const message of messages) this.#inbox.push(message);
    if (this.#inbox.isHeard) this.#inbox.handOver(queueMicrotask);
    else this.#stream.pause();
  }

  /** The peer closed; what it sent before is delivered first. */
  peerEnded(): void {
    if (this.#closed) return;
    if (!this.#inbox.isEmpty && this.#inbox.isHeard) this.#peerEnded = true;
    else this.close();
  }

  /** The stream is gone: nothing more leaves or arrives. */
  lost(): void {
    this.#streamOver = true;
    this.#sealed = [];
    this.#sealedBytes = 0;
    this.#flyingBytes = 0;
    this.#frame.finish();
    if (!this.#closed) this.#end();
  }

  #end(): void {
    this.#closed = true;
    this.#inbox.close();
    if (this.#closeListener !== undefined) queueMicrotask(this.#closeListener);
  }

  #seal(frame: Frame): void {
    this.#sealed.push(frame);
    this.#sealedBytes += frame.length;
  }

  #flushNow(): void {
    this.#flushScheduled = false;
    if (this.#streamOver || this.#flyingBytes > 0) return;
    if (this.#sealed.length === 0) {
      if (this.#frame.sizeBytes === 0) return;
      this.#seal(this.#frame.finish());
    }
    const frame = this.#sealed.shift() as Frame;
    this.#sealedBytes -= frame.length;
    this.#flyingBytes = frame.length;
    this.#stream.write(frame, this.#flushed);
  }

  #onFlushed(): void {
    this.#flyingBytes = 0;
    this.#flushNow();
    if (this.#closed) this.#endStreamWhenFlushed();
  }

  #endStreamWhenFlushed(): void {
    if (this.#streamOver) return;
    if (this.unsentBytes > 0) {
      if (!this.#flushScheduled && this.#flyingBytes === 0) this.#flushNow();
      return;
    }
    this.#streamOver = true;
    this.#stream.end();
  }
}
