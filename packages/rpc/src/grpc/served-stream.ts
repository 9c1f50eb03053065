import {
  constants,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import { Metadata, type StatusObject, status } from '@grpc/grpc-js';
import { SluiceError } from '@sluice/common/errors';
import type { Frame } from '../wire/frame.ts';
import { GRPC_CONTENT_TYPE, writeFrame } from './grpc-stream.ts';
import { CLOSING_TIMEOUT_MS, MESSAGE_BYTES_MAX } from './limits.ts';
import { MessageReader } from './message-reader.ts';
import { connectionNumberOf } from './socket-gate.ts';

export interface ServedStreamEvents {
  message(message: Uint8Array): void;
  /** The opener sends nothing any more. */
  ended(): void;
  /** What came cannot be gRPC as it was agreed, and was answered with a status. */
  broken(detail: string): void;
  /** The last call. `cut`: before it was ended from here. */
  closed(cut: boolean): void;
}

/** The serving end of one bidirectional gRPC stream. What it does to answer is what grpc-js would. */
export class ServedStream {
  readonly peer: string;
  /** Of its connection. */
  readonly connection: number;
  readonly metadata: Metadata;
  readonly #stream: ServerHttp2Stream;
  /** With which the stream ends. */
  #trailers: OutgoingHttpHeaders | undefined;
  #closingTimer: NodeJS.Timeout | undefined;

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders & IncomingHttpStatusHeader) {
    this.#stream = stream;
    const { remoteAddress, remotePort } = stream.session?.socket ?? {};
    this.peer = `${remoteAddress}:${remotePort}`;
    this.connection = connectionNumberOf(stream);
    this.metadata = Metadata.fromHttp2Headers(headers);
    // A listener from the first moment on: an error nobody listens to ends the process.
    stream.on('error', () => {});
  }

  /** Tells the opener, and begins to read. */
  accept(events: ServedStreamEvents): void {
    const stream = this.#stream;
    const reader = new MessageReader(MESSAGE_BYTES_MAX, (message) => events.message(message));
    const broken = (detail: string, code: status): void => {
      this.fail({ code, details: detail, metadata: new Metadata() });
      events.broken(detail);
    };
    stream.on('data', (chunk: Buffer) => {
      if (this.#trailers !== undefined) return;
      try {
        reader.push(chunk);
      } catch (error) {
        const isCompressed = error instanceof SluiceError && error.code === 'MESSAGE_COMPRESSED';
        broken(String(error), isCompressed ? status.UNIMPLEMENTED : status.RESOURCE_EXHAUSTED);
      }
    });
    stream.on('end', () => {
      if (this.#trailers !== undefined) return;
      if (reader.isBetween) events.ended();
      else broken('the stream ends within a message', status.INVALID_ARGUMENT);
    });
    const timeoutMs = timeoutOf(this.metadata.get('grpc-timeout')[0]);
    let deadline: NodeJS.Timeout | undefined;
    if (timeoutMs !== undefined) {
      deadline = setTimeout(() => broken('the deadline of its opener is over', status.DEADLINE_EXCEEDED), timeoutMs);
    }
    stream.on('close', () => {
      clearTimeout(deadline);
      events.closed(this.#trailers === undefined);
    });
    stream.on('wantTrailers', () => stream.sendTrailers(this.#trailers ?? {}));
    stream.respond({ ':status': 200, 'content-type': GRPC_CONTENT_TYPE }, { waitForTrailers: true });
  }

  write(frame: Frame, flushed: () => void): void {
    writeFrame(this.#stream, frame, flushed);
  }

  /** What was written arrives first. */
  end(): void {
    this.fail({ code: status.OK, details: 'OK', metadata: new Metadata() });
  }

  fail({ code, details, metadata }: StatusObject): void {
    const stream = this.#stream;
    if (this.#trailers !== undefined || stream.destroyed) return;
    this.#trailers = {
      'grpc-status': String(code),
      'grpc-message': encodeURI(details),
      ...metadata.toHttp2Headers(),
    };
    if (stream.headersSent) stream.end();
    else stream.respond({ ':status': 200, 'content-type': GRPC_CONTENT_TYPE, ...this.#trailers }, { endStream: true });
    // What still comes is not wanted.
    stream.resume();
    this.endSoon();
  }

  /** An opener that takes nothing, or does not end its side, does not keep ours. */
  endSoon(): void {
    if (this.#closingTimer !== undefined) return;
    const stream = this.#stream;
    this.#closingTimer = setTimeout(() => stream.close(constants.NGHTTP2_CANCEL), CLOSING_TIMEOUT_MS);
    this.#closingTimer.unref();
    stream.on('close', () => clearTimeout(this.#closingTimer));
  }

  pause(): void {
    this.#stream.pause();
  }
  resume(): void {
    this.#stream.resume();
  }
}

const TIMEOUT_UNITS_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };
/** Timers know no longer time. */
const TIMEOUT_MS_MAX = 0x7fff_ffff;

/** No node here sets a deadline on a stream; who does is not served beyond it. */
function timeoutOf(text: unknown): number | undefined {
  const [, digits, unit] = /^([0-9]{1,8})([HMSmun])$/.exec(String(text)) ?? [];
  if (digits === undefined || unit === undefined) return undefined;
  return Math.min(Number(digits) * (TIMEOUT_UNITS_MS[unit] as number), TIMEOUT_MS_MAX);
}
