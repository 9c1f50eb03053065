import { createServer, type IncomingMessage } from 'node:http';
import { createRequire } from 'node:module';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { WebSocket, WebSocketServer } from 'ws';
import type { ByteChannel, ByteSink, PeerCertificate } from '../connection/byte-channel.ts';
import { HANDSHAKE_STATUS, type HandshakeRefusal, handshakeRefusal, subProtocolOf } from './handshake.ts';
import { type Address, peerNameOf } from './listener.ts';
import { probe } from './probe.ts';
import { SlicedMessages } from './sliced-messages.ts';
import {
  type Entrance,
  type EntranceOptions,
  type EntranceRefusal,
  openEntrance,
  type Peer,
  type Refused,
} from './socket-entrance.ts';

/**
 * MQTT over WebSocket: path `/mqtt`, sub-protocol `mqtt` [MQTT-6.0.0-3] or what older clients call it, binary frames [MQTT-6.0.0-1]. Frames are only
 * pieces of the byte stream [MQTT-6.0.0-2]: a packet may span many, and one may hold many packets. Compression is off,
 * since a few bytes could unpack to gigabytes before anybody has authenticated.
 *
 * The library keeps a message until it is whole: that is bounded here, as a stranger's bytes are bounded on a plain
 * socket. Pings whose answers nobody reads it bounds itself.
 */
export interface WebSocketOptions extends Omit<EntranceOptions, 'accepted' | 'refused'> {
  frameBytesMax: number;
  /** Nobody is asked who they are. */
  anonymous: boolean;
  accept: (channel: ByteChannel) => void;
  refused: (reason: HandshakeRefusal | EntranceRefusal, of?: Refused) => void;
}

export async function listenWebSocket(address: Address, options: WebSocketOptions): Promise<Entrance> {
  const { handshakeMs } = options;
  const transport = options.tls === undefined ? 'ws' : 'wss';
  let sockets: WebSocketServer | undefined;
  // Never bound itself: it is handed sockets that came in elsewhere, and may speak HTTP now.
  const server = createServer({ maxHeaderSize: HEADER_BYTES_MAX }, (_request, response) => {
    options.refused('no_upgrade');
    response.writeHead(426, { 'content-type': 'text/plain', connection: 'close' }).end('MQTT over WebSocket\n');
  });
  const waiting = new Map<Socket, { peer: Peer; wire: Socket; deadline: NodeJS.Timeout }>();
  const arrived = (socket: Socket): { peer: Peer; wire: Socket } | undefined => {
    const found = waiting.get(socket);
    if (found === undefined) return undefined;
    waiting.delete(socket);
    clearTimeout(found.deadline);
    options.waiting(-1);
    return found;
  };
  /** Whoever is turned away and does not hang up takes a place, too, and has as much time as who is let in. */
  const turnAway = (socket: Duplex, refusal: HandshakeRefusal, of?: Refused): void => {
    options.refused(refusal, of);
    options.waiting(1);
    const deadline = setTimeout(() => socket.destroy(), handshakeMs);
    socket.once('close', () => {
      clearTimeout(deadline);
      options.waiting(-1);
    });
    socket.on('error', () => {});
    socket.end(`HTTP/1.1 ${HANDSHAKE_STATUS[refusal]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  };
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    const found = arrived(socket);
    if (found === undefined) {
      socket.destroy();
      return;
    }
    const refusal = handshakeRefusal(request, { anonymous: options.anonymous, full: options.isFull() });
    if (refusal !== undefined) {
      turnAway(socket, refusal, { peer: peerNameOf(found.peer), why: saidBy(request) });
      return;
    }
    sockets ??= makeSockets(options.frameBytesMax, (client) => turnAway(client, 'malformed'));
    sockets.handleUpgrade(request, socket, head, (client) =>
      options.accept(new WebSocketChannel(client, socket, { ...found, transport })),
    );
  });
  return openEntrance(address, {
    ...options,
    accepted: (socket, peer, wire) => {
      // A server that is not bound keeps no deadlines of its own.
      const deadline = setTimeout(() => socket.destroy(), handshakeMs);
      waiting.set(socket, { peer, wire, deadline });
      options.waiting(1);
      socket.once('close', () => arrived(socket));
      server.emit('connection', socket);
    },
  });
}

function makeSockets(frameBytesMax: number, malformed: (socket: Duplex) => void): WebSocketServer {
  const library = load('ws') as typeof import('ws');
  const sockets = new library.WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: frameBytesMax,
    handleProtocols: (offered) => subProtocolOf(offered) ?? false,
    // A chunk is handed on as it arrives, never joined and copied by the library.
    skipUTF8Validation: true,
  });
  sockets.on('wsClientError', (_error: Error, socket: Duplex) => malformed(socket));
  return sockets;
}

/** What a handshake is judged by; of a stranger, so not at any length. */
function saidBy({ url, headers }: IncomingMessage): string {
  const said = `path ${url}, sub-protocols ${headers['sec-websocket-protocol'] ?? 'none'}, origin ${headers.origin ?? 'none'}`;
  return said.slice(0, SAID_CHARACTERS_MAX);
}

const SAID_CHARACTERS_MAX = 300;
const load = createRequire(import.meta.url);
const HEADER_BYTES_MAX = 16 * 1024;
/** Frame headers, and the chunk that completed the last message. */
const PIECE_SLACK_BYTES = 128 * 1024;

class WebSocketChannel implements ByteChannel {
  readonly transport: 'ws' | 'wss';
  readonly peerHost: string;
  readonly peerName: string;
  readonly certificate: PeerCertificate | undefined;
  readonly #client: WebSocket;
  readonly #socket: Socket;
  readonly #wire: Socket;
  #closeCode = NORMAL_CLOSURE;
  #isPaused = false;
  #isSlicing = false;

  constructor(
    client: WebSocket,
    socket: Socket,
    { peer, transport, wire }: { peer: Peer; transport: 'ws' | 'wss'; wire: Socket },
  ) {
    this.transport = transport;
    this.#wire = wire;
    this.#client = client;
    this.#socket = socket;
    this.peerHost = peer.host;
    this.peerName = peerNameOf(peer);
    this.certificate = peer.certificate;
    client.binaryType = 'nodebuffer';
  }

  get bufferedBytes(): number {
    return this.#client.bufferedAmount;
  }

  open(sink: ByteSink): void {
    const client = this.#client;
    let kept = 0;
    const messages = new SlicedMessages(
      (chunk) => sink.bytes(chunk),
      (isWaiting) => this.#slicing(isWaiting),
    );
    const misused = (why: string): void => {
      messages.drop();
      sink.misused(why);
    };
    client.on('message', (data: Buffer, isBinary: boolean) => {
      kept = 0;
      if (this.#closeCode !== NORMAL_CLOSURE) return;
      if (isBinary) messages.push(data);
      else {
        this.#closeCode = UNSUPPORTED_DATA;
        misused('a text frame [MQTT-6.0.0-1]');
      }
    });
    // Frames that break their own rules. The library has answered them.
    client.on('error', (error) => misused(`WebSocket: ${error.message}`));
    client.on('close', () => {
      messages.flush();
      sink.closed();
    });
    this.#socket.on('drain', () => sink.drained());
    // Behind the library's own listener: what it did not hand on, it keeps.
    this.#socket.on('data', (chunk: Buffer) => {
      kept += chunk.length;
      if (kept <= sink.pieceBytesMax + PIECE_SLACK_BYTES) return;
      misused('a frame larger than any CONNECT');
      client.terminate();
    });
  }

  write(chunks: readonly Uint8Array[]): void {
    if (this.#client.readyState !== this.#client.OPEN) return;
    this.#socket.cork();
    for (const chunk of chunks) this.#client.send(chunk);
    this.#socket.uncork();
  }

  pause(): void {
    this.#isPaused = true;
    this.#client.pause();
  }
  resume(): void {
    this.#isPaused = false;
    if (!this.#isSlicing) this.#client.resume();
  }
  probe(): void {
    probe(this.#wire);
  }
  end(): void {
    this.#client.close(this.#closeCode);
  }
  destroy(): void {
    this.#client.terminate();
  }

  #slicing(isSlicing: boolean): void {
    this.#isSlicing = isSlicing;
    if (isSlicing) this.#client.pause();
    else if (!this.#isPaused) this.#client.resume();
  }
}

const NORMAL_CLOSURE = 1000;
const UNSUPPORTED_DATA = 1003;
