import { type ClientHttp2Session, type ClientHttp2Stream, connect, type OutgoingHttpHeaders } from 'node:http2';
import { connect as connectTcp, type Socket } from 'node:net';
import { checkServerIdentity, connect as connectTls } from 'node:tls';
import { CertificateNames, hostOf } from './certificate-names.ts';
import { STREAMS_PER_CONNECTION_MAX, WINDOW_BYTES } from './limits.ts';
import { silenceWatch } from './silence-watch.ts';
import type { TlsFiles } from './tls-files.ts';

/** As grpc-js calls a connection that ended before it stood, for want of a better reason. */
const FAILED = 'Failed to connect';

/**
 * One HTTP/2 connection to an address, from the attempt to its end. It stands when the peer's settings have come: with
 * TLS 1.3 a certificate that is refused ends what looked like a connection until then.
 */
export class PeerConnection {
  readonly #session: ClientHttp2Session;
  readonly #socket: Socket;
  #stands = false;
  #cause: string | undefined;

  /** `names`: of nodes at the address, as far as they are known. `onClosed` is told whether it ever stood. */
  constructor(
    address: string,
    names: readonly string[],
    tls: TlsFiles | undefined,
    onClosed: (stood: boolean) => void,
  ) {
    const socket = socketTo(address, names, tls);
    // Streams are told of their end before the session says why.
    socket.once('error', (error: NodeJS.ErrnoException) => this.#failed(error));
    const session = connect(`${tls === undefined ? 'http' : 'https'}://${address}`, {
      createConnection: () => socket,
      settings: { enablePush: false, initialWindowSize: WINDOW_BYTES },
      // Until the peer has said how many.
      peerMaxConcurrentStreams: STREAMS_PER_CONNECTION_MAX,
      // Bounded by the windows; Node's own bound would refuse streams instead.
      maxSessionMemory: Number.MAX_SAFE_INTEGER,
    });
    this.#session = session;
    this.#socket = socket;
    session.once('connect', () => {
      // Said of one that was destroyed before as well, and that throws.
      if (!session.destroyed) session.setLocalWindowSize(WINDOW_BYTES);
    });
    session.once('remoteSettings', () => {
      this.#stands = true;
      silenceWatch.watch(session, socket, 'opener', () => {
        this.#cause ??= 'no answer in time (ETIMEDOUT)';
        session.destroy();
      });
    });
    session.on('error', (error: NodeJS.ErrnoException) => this.#failed(error));
    session.on('close', () => onClosed(this.#stands));
  }

  /** False: a new stream needs another one. */
  get isOpen(): boolean {
    return !this.#session.closed && !this.#session.destroyed;
  }

  /** Empty while nothing is wrong. */
  get whyClosed(): string {
    if (this.#cause !== undefined) return this.#cause;
    if (this.isOpen) return '';
    return this.#stands ? 'connection closed' : FAILED;
  }

  /**
   * A stream. Their numbers are never used twice, and after a billion there are none left: then the stream fails, and the next
   * one needs another connection, which Node.js does not say of itself.
   */
  request(headers: OutgoingHttpHeaders): ClientHttp2Stream {
    const stream = this.#session.request(headers);
    stream.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ERR_HTTP2_OUT_OF_STREAMS') this.close();
    });
    return stream;
  }

  /** Streams that run go on. */
  close(): void {
    if (this.#stands) this.#session.close();
    else this.destroy();
  }

  /** A session that is not connected leaves its socket to go on trying. */
  destroy(): void {
    this.#session.destroy();
    if (!this.#stands) this.#socket.destroy();
  }

  #failed(error: NodeJS.ErrnoException): void {
    // The peer ended it: why, it cannot say.
    const isUnexplained = !this.#stands && error.code === 'ECONNRESET' && !error.message.includes('TLS');
    // What several attempts for one name failed of has a code and no message.
    this.#cause ??= isUnexplained ? FAILED : error.message || error.code || FAILED;
  }
}

/**
 * Whether anything could be tried. Nodes say of themselves where they are, and what is no address throws where it is used: each
 * time that somebody would send there, on every node of the cluster, for as long as the metadata names it.
 */
export function isReachable(address: string): boolean {
  const port = address.slice(address.lastIndexOf(':') + 1);
  return (
    hostOf(address) !== '' && /^[0-9]{1,5}$/.test(port) && Number(port) < 65_536 && URL.canParse(`http://${address}`)
  );
}

function socketTo(address: string, names: readonly string[], tls: TlsFiles | undefined): Socket {
  const host = hostOf(address);
  const port = Number(address.slice(address.lastIndexOf(':') + 1));
  if (tls === undefined) return connectTcp({ host, port, noDelay: true });
  const socket = connectTls({
    ...tls,
    host,
    port,
    // In place of the host, which may be an address: TLS knows no addresses there, and nobody here looks at it.
    servername: 'node',
    minVersion: 'TLSv1.3',
    ALPNProtocols: ['h2'],
    checkServerIdentity: (_name, certificate) => {
      const shown = new CertificateNames(certificate);
      if (names.some((name) => shown.speaksFor({ address: '', name }))) return undefined;
      return checkServerIdentity(host, certificate);
    },
  });
  socket.setNoDelay(true);
  return socket;
}
