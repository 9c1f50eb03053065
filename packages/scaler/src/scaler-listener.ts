import { createServer, type Server as NetServer, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import { type ConnectionInjector, Server, ServerCredentials, type UntypedServiceImplementation } from '@grpc/grpc-js';
import type { Clock } from '@sluice/common/clock';
import type { Metrics } from '@sluice/common/metrics';
import type { QueueManagement } from '@sluice/rpc/contract/queue-management';
import { listenOn } from '@sluice/rpc/listen-on';
import { Scaler } from './scaler.ts';
import { SCALER_SERVICE, scalerHandlers } from './scaler-service.ts';

/** A trigger is a page of YAML. */
const MESSAGE_BYTES_MAX = 64 * 1024;

/** PEM. */
export interface ScalerTls {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Authorities of those who may connect; undefined asks for no certificate. */
  readonly ca?: Buffer | undefined;
  /** What these have taken back. */
  readonly crl?: Buffer | undefined;
}

/**
 * The port that KEDA's operator connects to, apart from the one between nodes: who may read how long a queue is may not
 * therefore write entries. It has figures of queues and nothing else, as the page of metrics does.
 *
 * Sockets are taken here and handed to gRPC, so that renewed certificates serve new connections without a restart.
 */
export class ScalerListener {
  /** Beyond it connections are closed at once: an operator has one for each address. */
  static readonly CONNECTIONS_MAX = 100;
  static readonly HANDSHAKE_MS_MAX = 5_000;
  /** Who is connected is asked now and then whether he lives: those who are gone, or never spoke, would take all places. */
  static readonly ASKED_AFTER_MS = 30_000;
  static readonly ANSWER_MS_MAX = 10_000;
  static readonly CLOSING_MS_MAX = 1_000;

  readonly #scaler: Scaler;
  readonly #server = new Server({
    'grpc.keepalive_time_ms': ScalerListener.ASKED_AFTER_MS,
    'grpc.keepalive_timeout_ms': ScalerListener.ANSWER_MS_MAX,
    'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
    'grpc.enable_channelz': 0,
  });
  readonly #injector: ConnectionInjector;
  readonly #sockets = new Set<Socket>();
  readonly #listener: NetServer;
  readonly #setTls: (tls: ScalerTls) => void;
  readonly #unaccepted: () => void;

  constructor(options: { queues: QueueManagement; clock: Clock; metrics: Metrics; tls: ScalerTls | undefined }) {
    const { queues, clock, metrics, tls } = options;
    this.#scaler = new Scaler({ queues, clock });
    metrics.collect(
      'sluice_scaler_wanted_workers',
      'Workers that an autoscaler was last told are wanted for a queue',
      'gauge',
      () => [...this.#scaler.wanted()].map(([queue, workers]) => [{ queue }, workers]),
    );
    const asked = (method: string, outcome: string): void =>
      metrics.counter('sluice_scaler_requests_total', 'Questions of an autoscaler', { method, outcome }).add();
    this.#unaccepted = () => asked('accept', 'failed');
    this.#server.addService(SCALER_SERVICE, scalerHandlers(this.#scaler, asked) as UntypedServiceImplementation);
    this.#injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
    const enter = (socket: Socket): void => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      socket.on('error', () => {});
      this.#injector.injectConnection(socket);
    };
    if (tls === undefined) {
      this.#listener = createServer({ noDelay: true }, enter);
      this.#setTls = () => {};
    } else {
      const handshakeTimeout = ScalerListener.HANDSHAKE_MS_MAX;
      const server = createTlsServer({ ...tlsOptions(tls), handshakeTimeout, noDelay: true }, enter);
      server.on('tlsClientError', () => asked('handshake', 'refused'));
      this.#listener = server;
      this.#setTls = (renewed) => server.setSecureContext(tlsOptions(renewed));
    }
    this.#listener.maxConnections = ScalerListener.CONNECTIONS_MAX;
  }

  /** @returns the port, which the system chooses for 0. */
  async listen(host: string, port: number): Promise<number> {
    const bound = await listenOn(
      this.#listener,
      { host, port },
      { purpose: 'for an autoscaler', unaccepted: this.#unaccepted },
    );
    return bound.port;
  }

  /** For connections from now on. */
  setTls(tls: ScalerTls): void {
    this.#setTls(tls);
  }

  async close(): Promise<void> {
    this.#scaler.close();
    this.#listener.close();
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ScalerListener.CLOSING_MS_MAX);
      this.#server.tryShutdown(() => {
        clearTimeout(timer);
        resolve();
      });
      // Streams that wait for news never end by themselves.
      this.#server.forceShutdown();
    });
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** With an authority, whoever has no certificate of it does not get through the handshake. */
function tlsOptions({ cert, key, ca, crl }: ScalerTls): TlsOptions {
  const common: TlsOptions = { cert, key, minVersion: 'TLSv1.2', ALPNProtocols: ['h2'] };
  if (ca === undefined) return common;
  return { ...common, ca, ...(crl === undefined ? {} : { crl }), requestCert: true, rejectUnauthorized: true };
}
