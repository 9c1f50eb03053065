import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls';
import { addressOf } from '@sluice/common/ip-address';
import { listenOn } from '@sluice/rpc/listen-on';
import { wireOf } from '@sluice/rpc/wire-of';
import type { PeerCertificate } from '../connection/byte-channel.ts';
import type { ConnectionsPerAddress } from './connections-per-address.ts';
import { type Address, type Listener, peerNameOf, stopListening } from './listener.ts';
import { takeProxyHeader } from './proxied-socket.ts';
import { namesOf, secureContextOptions, type TlsMaterial } from './tls-material.ts';
import { TokenBucket } from './token-bucket.ts';

/** Who is at the other end of a socket that may speak now. */
export interface Peer {
  readonly host: string;
  readonly port: number;
  /** Of a client that had to show one, here or to the balancer in front. */
  readonly certificate: PeerCertificate | undefined;
}

export interface EntranceOptions {
  isFull: () => boolean;
  /** One socket more or less that is not yet accepted; they count as connections. */
  waiting: (change: 1 | -1) => void;
  /** From the first byte until the socket may speak. */
  handshakeMs: number;
  /** Undefined: nothing is encrypted. */
  tls: TlsMaterial | undefined;
  /** A header of the PROXY protocol says whose connection it is; one without is ended. */
  proxyProtocol: boolean;
  /** Connections a second; 0: any number. */
  connectsPerSecond: number;
  perAddress: ConnectionsPerAddress;
  nowMs: () => number;
  /** `wire`: what the system knows it by; inside TLS that is another socket than the one to speak by. */
  accepted: (socket: Socket, peer: Peer, wire: Socket) => void;
  refused: (reason: EntranceRefusal, of?: Refused) => void;
}

/** Whom a handshake was refused, and what was wrong with it; of those that are too many the address alone. */
export interface Refused {
  readonly peer: string;
  readonly why: string;
}

/**
 * `accept`: the system gave no socket for it, since no more files may be open. `rate`: more in a second than the listener
 * takes. `address`: more than one address may have.
 */
export type EntranceRefusal = 'accept' | 'rate' | 'address' | 'proxy' | 'tls';

/** A bound address whose certificate may be replaced. */
export interface Entrance extends Listener {
  renew(tls: TlsMaterial): void;
}

/**
 * What every listener has in common, before MQTT or HTTP is spoken: a place among the connections and among those of its
 * address, a rate, whom a balancer speaks for, and TLS. Who comes too many is hung up on, and counted. A socket that
 * is still shaking hands takes a place, too, and has the time that a CONNECT has, or a few thousand silent ones would be
 * free of every bound.
 */
export async function openEntrance(address: Address, options: EntranceOptions): Promise<Entrance> {
  /** By the ports and addresses of both ends: the socket inside TLS is another object than the one that came. */
  const pending = new Map<string, Shaking>();
  const secure = options.tls === undefined ? undefined : secureServer(options.tls, options, pending);
  const { connectsPerSecond, perAddress } = options;
  const rate = connectsPerSecond === 0 ? undefined : new TokenBucket(connectsPerSecond, options.nowMs());
  const refuse = (socket: Socket, reason: EntranceRefusal, of?: Refused): void => {
    options.refused(reason, of);
    socket.destroy();
  };
  const enter = (socket: Socket, peer: Peer): void => {
    if (perAddress.isBounded && !enterCounted(socket, peer, perAddress)) {
      refuse(socket, 'address', { peer: peer.host, why: '' });
      return;
    }
    if (secure === undefined) {
      options.accepted(socket, peer, socket);
      return;
    }
    const key = keyOf(socket);
    const shaking: Shaking = { peer, wire: socket, isOver: false };
    pending.set(key, shaking);
    options.waiting(1);
    socket.on('error', () => {});
    socket.once('close', () => {
      // Those that are gone when they are looked at have no address, and all of them one key; but each had a place.
      if (pending.get(key) === shaking) pending.delete(key);
      if (!shaking.isOver) options.waiting(-1);
    });
    secure.emit('connection', socket);
  };
  const server: Server = createServer(SOCKET_OPTIONS, (socket) => {
    if (options.isFull()) {
      socket.destroy();
      return;
    }
    const { remoteAddress = '' } = socket;
    const host = addressOf(remoteAddress) ?? remoteAddress;
    if (rate?.take(1, options.nowMs()) === false) {
      refuse(socket, 'rate', { peer: host, why: '' });
      return;
    }
    const own = { host, port: socket.remotePort ?? 0, certificate: undefined };
    if (!options.proxyProtocol) {
      enter(socket, own);
      return;
    }
    let isWaiting = true;
    const arrived = (): void => {
      if (isWaiting) options.waiting(-1);
      isWaiting = false;
    };
    options.waiting(1);
    socket.on('error', () => {});
    socket.once('close', arrived);
    takeProxyHeader(socket, options.handshakeMs, (peer) => {
      arrived();
      if (peer === 'invalid') refuse(socket, 'proxy');
      else enter(socket, peer === 'own' ? own : peer);
    });
  });
  const bound = await listenOn(server, address, {
    purpose: 'for clients',
    unaccepted: () => options.refused('accept'),
  });
  return {
    address: bound,
    stop: () => stopListening(server),
    renew: (tls) => secure?.setSecureContext(secureContextOptions(tls)),
  };
}

/** Where nothing is counted there is no such listener: with what Node.js keeps for it, it is a third of a kilobyte. */
function enterCounted(socket: Socket, { host }: Peer, perAddress: ConnectionsPerAddress): boolean {
  if (!perAddress.enter(host)) return false;
  socket.once('close', () => perAddress.leave(host));
  return true;
}

/** Between its first bytes and the end of its handshake. */
interface Shaking {
  readonly peer: Peer;
  readonly wire: Socket;
  /** It has given back its place. */
  isOver: boolean;
}

const SOCKET_OPTIONS = { noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 };

/** Never bound itself: it is handed sockets that came in elsewhere. */
function secureServer(tls: TlsMaterial, options: EntranceOptions, pending: Map<string, Shaking>): TlsServer {
  const asksForCertificate = tls.clientCa !== undefined;
  const server = createTlsServer({
    ...secureContextOptions(tls),
    requestCert: asksForCertificate,
    rejectUnauthorized: asksForCertificate,
    handshakeTimeout: options.handshakeMs,
  });
  server.on('secureConnection', (socket: TLSSocket) => {
    const key = keyOf(socket);
    const found = pending.get(key);
    if (found === undefined) {
      socket.destroy();
      return;
    }
    const { peer, wire } = found;
    pending.delete(key);
    found.isOver = true;
    options.waiting(-1);
    const isVerified = asksForCertificate && socket.authorized;
    const certificate = isVerified ? namesOf(socket.getPeerCertificate()) : peer.certificate;
    options.accepted(socket, { ...peer, certificate }, wire);
  });
  server.on('tlsClientError', (error: Error, socket: TLSSocket) => {
    const { remoteAddress: host = '', remotePort: port = 0 } = wireOf(socket);
    const { authorizationError } = socket;
    const { reason = error.message } = error as { reason?: string };
    const why = authorizationError ? `its certificate is not accepted: ${authorizationError}` : reason.trim();
    options.refused('tls', { peer: peerNameOf({ host, port }), why });
    socket.destroy();
  });
  return server;
}

/** All four: the same port at the other end may be connected to several of our addresses. */
function keyOf({ remotePort, remoteAddress, localPort, localAddress }: Socket): string {
  return `${remotePort} ${remoteAddress} ${localPort} ${localAddress}`;
}
