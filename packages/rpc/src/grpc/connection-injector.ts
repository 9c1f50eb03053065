import type { Http2Server, IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { type ConnectionInjector, type Server, ServerCredentials } from '@grpc/grpc-js';
import { assert } from '@sluice/common/assert';
import { STREAMS_PER_CONNECTION_MAX, WINDOW_BYTES } from './limits.ts';
import { silenceWatch } from './silence-watch.ts';

/**
 * The way in for connections of other nodes: with windows of HTTP/2 as wide as those a client announces, and past grpc-js
 * for the streams that `takes` says are its own.
 *
 * grpc-js has an option for the windows of its clients and none for its server's, and most bytes go to a server: whoever
 * opens a stream sends on it. With 64 KiB each image waits four times for a window update, and every wait costs both sides
 * a wake-up, a read and a write. The settings are Node's own; what leans on grpc-js 1.14.7 (pinned) are the names of the
 * methods that make its HTTP/2 server and that get its streams.
 */
export function connectionInjector(server: Server, takes: TakesStream): ConnectionInjector {
  const inner = server as unknown as ServerInside;
  const make = inner.createHttp2Server;
  const handle = inner._streamHandler;
  assert(typeof make === 'function', 'grpc-js 1.14.7 makes its HTTP/2 servers by this method');
  assert(typeof handle === 'function', 'grpc-js 1.14.7 gets its streams by this method');
  inner.createHttp2Server = (credentials) => {
    const made = make.call(server, credentials);
    made.updateSettings({ maxConcurrentStreams: STREAMS_PER_CONNECTION_MAX, initialWindowSize: WINDOW_BYTES });
    made.on('session', (session) => {
      session.setLocalWindowSize(WINDOW_BYTES);
      silenceWatch.watch(session, session.socket as Socket, 'server', () => session.destroy());
    });
    return made;
  };
  inner._streamHandler = (interceptors, stream, headers) => {
    if (!takes(stream, headers)) handle.call(server, interceptors, stream, headers);
  };
  // The gate has seen to certificates.
  return server.createConnectionInjector(ServerCredentials.createInsecure());
}

/** False leaves the stream to grpc-js. */
export type TakesStream = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => boolean;

interface ServerInside {
  createHttp2Server(credentials: ServerCredentials): Http2Server;
  _streamHandler(interceptors: unknown, stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void;
}
