import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { ByteChannel, ByteSink, PeerCertificate, Transport } from '../connection/byte-channel.ts';
import { readInPlace, SINK, type SinkSocket } from './in-place-reading.ts';
import { type Address, peerNameOf } from './listener.ts';
import { probe } from './probe.ts';
import { type Entrance, type EntranceOptions, openEntrance, type Peer } from './socket-entrance.ts';

export interface TcpOptions extends Omit<EntranceOptions, 'accepted'> {
  /** Bytes do not come by the stream, where that is possible. */
  readsInPlace: boolean;
  /** Called for each connection. */
  accept: (channel: ByteChannel) => void;
}

/** MQTT over TCP, or over TLS where there is a certificate. */
export function listenTcp(address: Address, options: TcpOptions): Promise<Entrance> {
  const transport = options.tls === undefined ? 'tcp' : 'tls';
  // What is inside TLS is no socket of the system's.
  const isReadInPlace = options.readsInPlace && transport === 'tcp';
  return openEntrance(address, {
    ...options,
    accepted: (socket, peer, wire) =>
      options.accept(new SocketChannel(socket, { peer, transport, wire, isReadInPlace })),
  });
}

export interface SocketOptions {
  readonly peer: Peer;
  readonly transport: Transport;
  /** What the system knows the socket by. */
  readonly wire: Socket;
  readonly isReadInPlace: boolean;
}

/** One socket as a byte channel; TLS sockets are sockets, too. */
export class SocketChannel implements ByteChannel {
  readonly transport: Transport;
  readonly peerHost: string;
  readonly certificate: PeerCertificate | undefined;
  readonly #socket: SinkSocket;
  readonly #wire: Socket;
  readonly #peerPort: number;
  readonly #isReadInPlace: boolean;
  #ended = false;

  constructor(socket: Socket, { peer, transport, wire, isReadInPlace }: SocketOptions) {
    this.#socket = socket;
    this.#isReadInPlace = isReadInPlace;
    this.#wire = wire;
    this.transport = transport;
    this.peerHost = peer.host;
    this.#peerPort = peer.port;
    this.certificate = peer.certificate;
  }

  /** Put together when it is asked for, which for most connections is never. */
  get peerName(): string {
    return peerNameOf({ host: this.peerHost, port: this.#peerPort });
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  open(sink: ByteSink): void {
    const socket = this.#socket;
    socket[SINK] = sink;
    socket.on('data', this.#isReadInPlace ? onDataInPlace : onData);
    socket.on('drain', onDrain);
    // 'close' follows an error; what a peer does to its end of the connection is no event of ours.
    socket.on('error', onError);
    socket.on('close', onClose);
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
    // As a stream, not by `Socket.pause`: read in place, that would not even notice any more that the client is gone.
    Duplex.prototype.pause.call(this.#socket);
  }
  resume(): void {
    this.#socket.resume();
  }
  probe(): void {
    probe(this.#wire);
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

function onData(this: SinkSocket, chunk: Buffer): void {
  this[SINK]?.bytes(chunk);
}
function onDataInPlace(this: SinkSocket, chunk: Buffer): void {
  this[SINK]?.bytes(chunk);
  // From its second read on: most of those that are idle have sent a CONNECT and nothing else. Once it is, what comes here is
  // what the stream held while it was paused.
  if (this.bytesRead > chunk.length) readInPlace(this);
}
function onDrain(this: SinkSocket): void {
  this[SINK]?.drained();
}
function onClose(this: SinkSocket): void {
  this[SINK]?.closed();
}
function onError(): void {}
