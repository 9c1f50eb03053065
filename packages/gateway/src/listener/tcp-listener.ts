import { createServer, type Server, type Socket } from 'node:net';
import type { ByteChannel, ByteSink, Transport } from '../connection/byte-channel.ts';
import { type Address, type Listener, listenOn, peerNameOf, stopListening } from './listener.ts';

/** MQTT over TCP. `accept` is called for each connection; `isFull` is asked first, and a full gateway hangs up. */
export async function listenTcp(
  address: Address,
  accept: (channel: ByteChannel) => void,
  isFull: () => boolean,
): Promise<Listener> {
  const server: Server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 }, (socket) => {
    if (isFull()) {
      socket.destroy();
      return;
    }
    accept(new SocketChannel(socket, 'tcp'));
  });
  const bound = await listenOn(server, address);
  return { address: bound, stop: () => stopListening(server) };
}

/** One socket as a byte channel; TLS sockets are sockets, too. */
export class SocketChannel implements ByteChannel {
  readonly transport: Transport;
  readonly peerHost: string;
  readonly peerName: string;
  readonly #socket: Socket;
  #ended = false;

  constructor(socket: Socket, transport: Transport) {
    this.#socket = socket;
    this.transport = transport;
    this.peerHost = socket.remoteAddress ?? '';
    this.peerName = peerNameOf(socket);
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  open(sink: ByteSink): void {
    const socket = this.#socket;
    socket.on('data', (chunk: Buffer) => sink.bytes(chunk));
    socket.on('drain', () => sink.drained());
    // 'close' follows an error; what a peer does to its end of the connection is no event of ours.
    socket.on('error', () => {});
    socket.on('close', () => sink.closed());
  }

  write(chunks: readonly Uint8Array[]): void {
    const socket = this.#socket;
    if (this.#ended || socket.destroyed) return;
    if (chunks.length === 1) {
      socket.write(chunks[0] as Uint8Array);
      return;
    }
    socket.cork();
    for (const chunk of chunks) socket.write(chunk);
    socket.uncork();
  }

  pause(): void {
    this.#socket.pause();
  }
  resume(): void {
    this.#socket.resume();
  }
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#socket.end();
  }
  destroy(): void {
    this.#socket.destroy();
  }
}
