import type { ServerHttp2Stream } from 'node:http2';
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls';
import { listenOn } from '../listen-on.ts';
import { wireOf } from '../wire-of.ts';
import { CertificateNames } from './certificate-names.ts';
import { CONNECTIONS_MAX, GREETING_TIMEOUT_MS } from './limits.ts';
import type { Refusals } from './refusals.ts';
import type { TlsFiles } from './tls-files.ts';

/** The first bytes of every HTTP/2 connection (RFC 9113, 3.4). */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/**
 * The port other nodes connect to. gRPC's own listener hides the connections it has, and what it refuses: here a
 * connection is taken, made to show a certificate where there are any, and looked at, before gRPC sees it.
 */
export class SocketGate {
  readonly #server: Server;
  readonly #refusals: Refusals;
  readonly #enter: (socket: Socket) => void;
  /** By number: an address and port at the other end may have a connection to each of our addresses, or a new one at once. */
  readonly #connections = new Map<number, GatedConnection>();
  #newest = 0;
  readonly #tls: TlsServer | undefined;

  constructor(options: { tls: TlsFiles | undefined; refusals: Refusals; enter: (socket: Socket) => void }) {
    this.#refusals = options.refusals;
    this.#enter = options.enter;
    if (options.tls === undefined) {
      this.#server = createServer({ noDelay: true }, (socket) => this.#greet(socket, undefined));
    } else {
      this.#tls = createTlsServer(
        {
          ...options.tls,
          requestCert: true,
          // Looked at by us, before anything is read: who refuses for us does not say why.
          rejectUnauthorized: false,
          minVersion: 'TLSv1.3',
          ALPNProtocols: ['h2'],
          handshakeTimeout: GREETING_TIMEOUT_MS,
          noDelay: true,
        },
        (socket) => this.#identify(socket),
      );
      // Asked as it comes, and kept by the socket: of one that has hung up the system knows no address any more.
      this.#tls.on('connection', peerOf);
      this.#tls.on('tlsClientError', (error: Error, socket: TLSSocket) => {
        this.#refusals.count('tls', peerOf(wireOf(socket)), error.message);
      });
      this.#server = this.#tls;
    }
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  /** @returns the port. */
  async listen(host: string, port: number): Promise<number> {
    const bound = await listenOn(
      this.#server,
      { host, port },
      {
        purpose: 'for other nodes',
        unaccepted: (cause) => this.#refusals.count('not-accepted', NOBODY_KNOWN, cause.message),
      },
    );
    return bound.port;
  }

  /** For connections from now on. */
  setTls(files: TlsFiles): void {
    this.#tls?.setSecureContext({ ...files, minVersion: 'TLSv1.3' });
  }

  /** Undefined: it is closed. */
  connection(number: number): GatedConnection | undefined {
    return this.#connections.get(number);
  }

  /** Takes no more connections. */
  stop(): void {
    this.#server.close();
  }

  destroyAll(): void {
    for (const { socket } of this.#connections.values()) socket.destroy();
  }

  #identify(socket: TLSSocket): void {
    if (socket.authorized) {
      this.#greet(socket, new CertificateNames(socket.getPeerCertificate()));
      return;
    }
    const shown = socket.getPeerCertificate();
    const why = Object.keys(shown).length === 0 ? 'it showed none' : String(socket.authorizationError);
    this.#refusals.count('certificate', peerOf(socket), `its certificate is not accepted: ${why}`);
    socket.on('error', () => {});
    socket.destroy();
  }

  #greet(socket: Socket, names: CertificateNames | undefined): void {
    const peer = peerOf(socket);
    const number = ++this.#newest;
    const known: GatedConnection = { socket, served: false, names };
    (socket as NumberedSocket)[NUMBER] = number;
    let entered = false;
    this.#connections.set(number, known);
    socket.on('error', () => {});
    socket.once('close', () => {
      this.#connections.delete(number);
      if (entered && !known.served) this.#refusals.count('no-stream', peer, 'a connection without a valid stream');
    });
    const timer = setTimeout(() => socket.destroy(), GREETING_TIMEOUT_MS);
    timer.unref();
    // Kept here until there is enough: given back at once, the same bytes would be readable again, for ever.
    let greeting: Buffer = Buffer.alloc(0);
    const look = (): void => {
      const bytes = socket.read() as Buffer | null;
      if (bytes === null) return;
      greeting = greeting.length === 0 ? bytes : Buffer.concat([greeting, bytes]);
      const compared = Math.min(greeting.length, PREFACE.length);
      const fits = greeting.compare(PREFACE, 0, compared, 0, compared) === 0;
      if (fits && compared < PREFACE.length) return;
      socket.off('readable', look);
      clearTimeout(timer);
      if (!fits) {
        this.#refusals.count('not-http2', peer, 'a connection that does not begin as HTTP/2');
        socket.destroy();
        return;
      }
      socket.unshift(greeting);
      entered = true;
      this.#enter(socket);
    };
    socket.on('readable', look);
  }
}

/** Of a connection that was not accepted the system says no address. */
const NOBODY_KNOWN = 'unknown';

export interface GatedConnection {
  readonly socket: Socket;
  /** gRPC has a stream or a call of it. */
  served: boolean;
  /** Undefined without TLS. */
  readonly names: CertificateNames | undefined;
}

const NUMBER = Symbol('number of its connection');
type NumberedSocket = Socket & { [NUMBER]?: number };

/** Of the connection that brought a stream; 0: it is gone. */
export function connectionNumberOf({ session }: ServerHttp2Stream): number {
  return (session?.socket as NumberedSocket | undefined)?.[NUMBER] ?? 0;
}

function peerOf({ remoteAddress, remotePort }: Socket): string {
  return remoteAddress === undefined ? NOBODY_KNOWN : `${remoteAddress}:${remotePort}`;
}
