import type { Http2Server } from 'node:http2';
import { type ConnectionInjector, type Server, ServerCredentials } from '@grpc/grpc-js';
import { assert } from '@sluice/common/assert';
import { STREAMS_PER_CONNECTION_MAX, WINDOW_BYTES } from './limits.ts';

/**
 * The way in for connections of other nodes, with windows of HTTP/2 as wide as those a client announces.
 *
 * grpc-js has an option for the windows of its clients and none for its server's, and most bytes go to a server: whoever
 * opens a stream sends on it. With 64 KiB each image waits four times for a window update, and every wait costs both sides
 * a wake-up, a read and a write. The settings are Node's own; what leans on grpc-js 1.14.7 (pinned) is the name of the
 * method that makes its HTTP/2 server.
 */
export function wideInjector(server: Server): ConnectionInjector {
  const maker = server as unknown as ServerMaker;
  const make = maker.createHttp2Server;
  assert(typeof make === 'function', 'grpc-js 1.14.7 makes its HTTP/2 servers by this method');
  maker.createHttp2Server = (credentials) => {
    const made = make.call(server, credentials);
    made.updateSettings({ maxConcurrentStreams: STREAMS_PER_CONNECTION_MAX, initialWindowSize: WINDOW_BYTES });
    made.on('session', (session) => session.setLocalWindowSize(WINDOW_BYTES));
    return made;
  };
  // The gate has seen to certificates.
  return server.createConnectionInjector(ServerCredentials.createInsecure());
}

interface ServerMaker {
  createHttp2Server(credentials: ServerCredentials): Http2Server;
}
