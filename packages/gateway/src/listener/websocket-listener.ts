import { createServer, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { WebSocket, WebSocketServer } from 'ws';
import type { ByteChannel, ByteSink } from '../connection/byte-channel.ts';
import { type Address, type Listener, listenOn, peerNameOf, stopListening } from './listener.ts';

/**
 * MQTT over WebSocket: path `/mqtt`, sub-protocol `mqtt` [MQTT-6.0.0-3], binary frames [MQTT-6.0.0-1]. Frames are only
 * pieces of the byte stream [MQTT-6.0.0-2]: a packet may span many, and one may hold many packets. Compression is off,
 * since a few bytes could unpack to gigabytes before anybody has authenticated.
 */
export async function listenWebSocket(
  address: Address,
  limits: { frameBytesMax: number; connectionsMax: number },
  accept: (channel: ByteChannel) => void,
  isFull: () => boolean,
): Promise<Listener> {
  const sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: limits.frameBytesMax,
    handleProtocols: () => SUB_PROTOCOL,
    // A chunk is handed on as it arrives, never joined and copied by the library.
    skipUTF8Validation: true,
  });
  const server = createServer(
    { headersTimeout: HANDSHAKE_MS, requestTimeout: HANDSHAKE_MS, maxHeaderSize: HEADER_BYTES_MAX, noDelay: true },
    (_request, response) => {
      response.writeHead(426, { 'content-type': 'text/plain', connection: 'close' }).end('MQTT over WebSocket\n');
    },
  );
  // Those that never ask for an upgrade count as well.
  server.maxConnections = limits.connectionsMax;
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    const refusal = refusalOf(request, isFull());
    if (refusal !== undefined) {
      socket.on('error', () => {});
      socket.end(`HTTP/1.1 ${refusal}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    sockets.handleUpgrade(request, socket, head, (client) => accept(new WebSocketChannel(client, socket)));
  });
  const bound = await listenOn(server, address);
  return { address: bound, stop: () => stopListening(server) };
}

export const SUB_PROTOCOL = 'mqtt';
const PATH = '/mqtt';
const HANDSHAKE_MS = 10_000;
const HEADER_BYTES_MAX = 16 * 1024;

function refusalOf(request: IncomingMessage, full: boolean): string | undefined {
  if ((request.url ?? '').split('?', 1)[0] !== PATH) return '404 Not Found';
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',');
  if (!offered.some((protocol) => protocol.trim() === SUB_PROTOCOL)) return '400 Bad Request';
  return full ? '503 Service Unavailable' : undefined;
}

class WebSocketChannel implements ByteChannel {
  readonly transport = 'ws';
  readonly peerHost: string;
  readonly peerName: string;
  readonly #client: WebSocket;
  readonly #socket: Socket;

  constructor(client: WebSocket, socket: Socket) {
    this.#client = client;
    this.#socket = socket;
    this.peerHost = socket.remoteAddress ?? '';
    this.peerName = peerNameOf(socket);
    client.binaryType = 'nodebuffer';
  }

  get bufferedBytes(): number {
    return this.#client.bufferedAmount;
  }

  open(sink: ByteSink): void {
    this.#client.on('message', (data: Buffer, isBinary: boolean) => {
      if (isBinary) sink.bytes(data);
      else this.#client.close(UNSUPPORTED_DATA, 'binary frames only');
    });
    this.#client.on('error', () => {});
    this.#client.on('close', () => sink.closed());
    this.#socket.on('drain', () => sink.drained());
  }

  write(chunks: readonly Uint8Array[]): void {
    if (this.#client.readyState !== WebSocket.OPEN) return;
    this.#socket.cork();
    for (const chunk of chunks) this.#client.send(chunk);
    this.#socket.uncork();
  }

  pause(): void {
    this.#client.pause();
  }
  resume(): void {
    this.#client.resume();
  }
  end(): void {
    this.#client.close(NORMAL_CLOSURE);
  }
  destroy(): void {
    this.#client.terminate();
  }
}

const NORMAL_CLOSURE = 1000;
const UNSUPPORTED_DATA = 1003;
