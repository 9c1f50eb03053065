import { type ClientHttp2Stream, constants, type IncomingHttpHeaders } from 'node:http2';
import { Metadata, type StatusObject, status } from '@grpc/grpc-js';
import type { Frame } from '../wire/frame.ts';
import { writeFrame, writeMessage } from './grpc-stream.ts';
import { MESSAGE_BYTES_MAX } from './limits.ts';
import { MessageReader } from './message-reader.ts';

export interface OpenedStreamEvents {
  accepted(): void;
  message(message: Uint8Array): void;
  /** The last call: how the peer ended it, or how it broke. */
  ended(outcome: StatusObject): void;
}

/** The opening end of one bidirectional gRPC stream. */
export class OpenedStream {
  readonly #stream: ClientHttp2Stream;
  readonly #events: OpenedStreamEvents;
  /** Of the headers or trailers that carry a status. */
  #status: IncomingHttpHeaders | undefined;
  #over = false;

  /** `whyClosed` says what became of the connection, when nothing was heard of the stream itself. */
  constructor(stream: ClientHttp2Stream, events: OpenedStreamEvents, whyClosed: () => string) {
    this.#stream = stream;
    this.#events = events;
    const reader = new MessageReader(MESSAGE_BYTES_MAX, (message) => events.message(message));
    stream.on('response', (headers) => {
      if (headers['grpc-status'] === undefined) events.accepted();
      else this.#status = headers;
    });
    stream.on('trailers', (headers) => {
      this.#status = headers;
    });
    stream.on('data', (chunk: Buffer) => {
      if (this.#over) return;
      try {
        reader.push(chunk);
      } catch (error) {
        this.#end(status.RESOURCE_EXHAUSTED, String(error));
        this.cancel();
      }
    });
    let cause: string | undefined;
    // 'close' follows every error.
    stream.on('error', (error) => {
      cause = error.message;
    });
    stream.on('end', () => {
      if (this.#status !== undefined) this.#endByPeer(this.#status);
    });
    stream.on('close', () => {
      if (this.#status !== undefined) this.#endByPeer(this.#status);
      else this.#end(status.UNAVAILABLE, whyClosed() || cause || `stream closed with code ${stream.rstCode}`);
    });
  }

  write(frame: Frame, flushed: () => void): void {
    writeFrame(this.#stream, frame, flushed);
  }

  /** What was written arrives first. */
  end(): void {
    this.#stream.end();
  }

  /** The one message of a call. */
  writeOnly(message: Uint8Array): void {
    writeMessage(this.#stream, message);
    this.#stream.end();
  }

  /** At once. `why` is what it ends with, when nothing was heard of the peer. */
  cancel(why?: string): void {
    if (why !== undefined) this.#end(status.DEADLINE_EXCEEDED, why);
    // Before it is connected there is nobody to be told, and `close` would wait for that.
    if (this.#stream.pending) this.#stream.destroy();
    else this.#stream.close(constants.NGHTTP2_CANCEL);
  }

  pause(): void {
    this.#stream.pause();
  }
  resume(): void {
    this.#stream.resume();
  }

  #endByPeer(headers: IncomingHttpHeaders): void {
    if (this.#over) return;
    this.#over = true;
    const text = Number(headers['grpc-status']);
    const code = Number.isInteger(text) && text in status ? text : status.UNKNOWN;
    this.#events.ended({
      code,
      details: decoded(headers['grpc-message']),
      metadata: Metadata.fromHttp2Headers(headers),
    });
  }

  #end(code: status, details: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#events.ended({ code, details, metadata: new Metadata() });
  }
}

function decoded(message: string | string[] | undefined): string {
  const text = String(message ?? '');
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
