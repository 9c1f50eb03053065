import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { Metrics } from '@sluice/common/metrics';
import type { AddressBook } from './address-book.ts';
import { GrpcServer } from './grpc/grpc-server.ts';
import { GrpcTransport } from './grpc/grpc-transport.ts';
import type { NodeIdentity } from './grpc/identity.ts';
import type { TlsFiles } from './grpc/tls-files.ts';
import { InprocTransport } from './inproc/inproc-transport.ts';
import { ServiceTable } from './inproc/service-table.ts';
import type { CallService, Channel, ChannelService, ServiceRegistry, Transport } from './transport.ts';

export interface NodeTransportOptions {
  addresses: AddressBook;
  tls: TlsFiles | undefined;
  logger: Logger;
  metrics: Metrics;
  clock: Clock;
}

/**
 * How the roles of a node reach each other and other nodes. Which roles run where is then nobody's business: a service is
 * registered once, the node's own id leads to it without a wire, every other id through gRPC.
 */
export class NodeTransport implements Transport, ServiceRegistry {
  readonly #services = new ServiceTable();
  readonly #local: InprocTransport;
  readonly #remote: GrpcTransport;
  readonly #server: GrpcServer;
  #nodeId = 0;

  constructor(options: NodeTransportOptions) {
    this.#local = new InprocTransport({ services: this.#services });
    this.#remote = new GrpcTransport(options);
    this.#server = new GrpcServer({ ...options, services: this.#services });
  }

  /** Until then the node reaches nobody but by `callAddress`, and is asked nothing but `cluster`. */
  setIdentity(identity: NodeIdentity): void {
    this.#nodeId = identity.nodeId;
    this.#local.setNodeId(identity.nodeId);
    this.#remote.setIdentity(identity);
    this.#server.setIdentity(identity);
  }

  /** For other nodes. @returns the port, which the system chooses for 0. */
  listen(host: string, port: number): Promise<number> {
    return this.#server.listen(host, port);
  }

  /** Certificates for connections from now on, in both directions. */
  setTls(files: TlsFiles): void {
    this.#remote.setTls(files);
    this.#server.setTls(files);
  }

  serveChannel<In, Out>(service: ChannelService, accept: (channel: Channel<Out, In>, from: number) => void): void {
    this.#services.serveChannel(service, accept);
  }

  serveCall<Request, Response>(
    service: CallService,
    answer: (request: Request, from: number) => Promise<Response>,
  ): void {
    this.#services.serveCall(service, answer);
  }

  open<Out, In>(nodeId: number, service: ChannelService): Channel<Out, In> {
    return (nodeId === this.#nodeId ? this.#local : this.#remote).open(nodeId, service);
  }

  call<Request, Response>(nodeId: number, service: CallService, request: Request): Promise<Response> {
    return (nodeId === this.#nodeId ? this.#local : this.#remote).call(nodeId, service, request);
  }

  /** Asks whoever listens there, without saying who asks: for nodes that do not know each other. */
  callAddress<Request, Response>(address: string, service: 'cluster', request: Request): Promise<Response> {
    return this.#remote.callAddress(address, service, request);
  }

  /** Ends what goes to other nodes and comes from them. What goes on within the node is not touched. */
  async shutdown(): Promise<void> {
    await Promise.all([this.#remote.shutdown(), this.#server.shutdown()]);
  }
}
