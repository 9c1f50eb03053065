import type { Http2Stream } from 'node:http2';
import type { Frame } from '../wire/frame.ts';
import { PREFIX_BYTES, writePrefix } from './message-reader.ts';

/** As gRPC over HTTP/2 names them. */
export const GRPC_CONTENT_TYPE = 'application/grpc+proto';

/**
 * One frame as one gRPC message and one write of HTTP/2: its pieces go to the kernel from where they lie. `flushed` once
 * they were taken; never when the stream breaks first.
 */
export function writeFrame(stream: Http2Stream, frame: Frame, flushed: () => void): void {
  const pieces = frame.pieces(PREFIX_BYTES);
  writePrefix(pieces[0] as Uint8Array, frame.length);
  const last = pieces.length - 1;
  stream.cork();
  for (let i = 0; i < last; i++) stream.write(pieces[i] as Uint8Array);
  stream.write(pieces[last] as Uint8Array, (error) => {
    if (error === null || error === undefined) flushed();
  });
  stream.uncork();
}

/** One message that is no frame, as calls have. */
export function writeMessage(stream: Http2Stream, message: Uint8Array): void {
  const prefix = new Uint8Array(PREFIX_BYTES);
  writePrefix(prefix, message.length);
  stream.cork();
  stream.write(prefix);
  stream.write(message);
  stream.uncork();
}
