import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import {
  type ConnectionInjector,
  type Metadata,
  Server,
  type ServerUnaryCall,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import { AssertionFailed } from '@sluice/common/assert';
import type { Clock } from '@sluice/common/clock';
import { SluiceError } from '@sluice/common/errors';
import type { Logger } from '@sluice/common/logger';
import type { Metrics } from '@sluice/common/metrics';
import type { AddressBook } from '../address-book.ts';
import type { ClusterRequest } from '../contract/cluster.ts';
import { ServiceTable } from '../inproc/service-table.ts';
import type { CallService, Channel, ChannelService, ServiceRegistry } from '../transport.ts';
import { encode } from '../wire/codec.ts';
import { CALL_CODECS, CHANNEL_CODECS, type ServiceCodecs } from '../wire/codecs.ts';
import { peerUnavailable, statusOf } from './call-error.ts';
import { connectionInjector } from './connection-injector.ts';
import { type NodeIdentity, senderOf } from './identity.ts';
import { CLOSING_TIMEOUT_MS, MESSAGE_BYTES_MAX } from './limits.ts';
import { type RefusalReason, Refusals } from './refusals.ts';
import { asBuffer, asBytes } from './serializers.ts';
import { ServedStream } from './served-stream.ts';
import { connectionNumberOf, SocketGate } from './socket-gate.ts';
import { StreamChannel } from './stream-channel.ts';
import type { TlsFiles } from './tls-files.ts';

const ABORTED_LOOK_MS = 100;
/** Of channels, by their method's path. */
const SERVICES: ReadonlyMap<string, ChannelService> = new Map(
  Object.entries(CHANNEL_CODECS).map(([service, { path }]) => [path, service as ChannelService]),
);

export interface GrpcServerOptions {
  tls: TlsFiles | undefined;
  /** Who the nodes are that certificates are compared with. */
  addresses: AddressBook;
  logger: Logger;
  metrics: Metrics;
  clock: Clock;
  /** Where the services are registered: given when another transport serves the same ones. */
  services?: ServiceTable;
}

/**
 * The port for other nodes. What comes there is believed after its metadata has shown that it is of this cluster and
 * meant for this node; until the node has an identity, only `cluster` is answered. Whatever else arrives is refused and
 * counted, and touches nothing.
 */
export class GrpcServer implements ServiceRegistry {
  readonly #services: ServiceTable;
  readonly #addresses: AddressBook;
  readonly #usesTls: boolean;
  readonly #server: Server;
  readonly #injector: ConnectionInjector;
  readonly #gate: SocketGate;
  readonly #refusals: Refusals;
  readonly #channels = new Set<StreamChannel>();
  #identity: NodeIdentity | undefined;

  constructor(options: GrpcServerOptions) {
    this.#services = options.services ?? new ServiceTable();
    this.#addresses = options.addresses;
    this.#usesTls = options.tls !== undefined;
    this.#refusals = new Refusals(options);
    this.#server = new Server({
      'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
      'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
      'grpc.enable_channelz': 0,
    });
    for (const [service, codecs] of Object.entries(CALL_CODECS)) {
      this.#server.register(
        codecs.path,
        (call: ServerUnaryCall<Uint8Array, Uint8Array>, done: sendUnaryData<Uint8Array>) =>
          this.#answer(service as CallService, codecs, call, done),
        asBuffer,
        asBytes,
        'unary',
      );
    }
    this.#injector = connectionInjector(this.#server, (stream, headers) => this.#takes(stream, headers));
    this.#gate = new SocketGate({
      tls: options.tls,
      refusals: this.#refusals,
      enter: (socket) => this.#injector.injectConnection(socket),
    });
  }

  setIdentity(identity: NodeIdentity): void {
    this.#identity = identity;
  }

  /** Certificates for connections from now on. */
  setTls(files: TlsFiles): void {
    this.#gate.setTls(files);
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

  /** @returns the port, which the system chooses for 0. */
  listen(host: string, port: number): Promise<number> {
    return this.#gate.listen(host, port);
  }

  /** Channels that are not closed: a test may assert that nothing is left. */
  get openChannels(): number {
    return this.#channels.size;
  }

  /** Closes every channel; what was sent on them before gets a moment to leave. */
  async shutdown(): Promise<void> {
    this.#gate.stop();
    for (const channel of [...this.#channels]) channel.close();
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, CLOSING_TIMEOUT_MS);
      this.#injector.drain(CLOSING_TIMEOUT_MS);
      this.#server.tryShutdown(() => {
        clearTimeout(timer);
        resolve();
      });
    });
    this.#gate.destroyAll();
    this.#server.forceShutdown();
  }

  /** Channels are ours; calls, and whatever else there is, are answered through grpc-js. */
  #takes(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): boolean {
    const service = SERVICES.get(headers[':path'] as string);
    if (service === undefined || !headers['content-type']?.startsWith('application/grpc')) {
      // What grpc-js passes on of a call; whatever its sender said there is gone.
      headers[CONNECTION] = String(connectionNumberOf(stream));
      return false;
    }
    // It may have been cut before anybody looked at it.
    if (!stream.destroyed) this.#accept(service, CHANNEL_CODECS[service], new ServedStream(stream, headers));
    return true;
  }

  #accept(service: ChannelService, codecs: ServiceCodecs, stream: ServedStream): void {
    const { peer, connection } = stream;
    this.#served(connection);
    const from = this.#senderOf(stream.metadata, stream, codecs.path);
    const accept = this.#services.channel(service);
    if (typeof from !== 'number' || accept === undefined) {
      const refusal = typeof from !== 'number' ? from : this.#refused('not-served', peer, codecs.path);
      stream.fail(statusOf(refusal, status.FAILED_PRECONDITION));
      return;
    }
    const channel = new StreamChannel(
      {
        write: (frame, flushed) => stream.write(frame, flushed),
        closing: () => stream.endSoon(),
        end: () => stream.end(),
        abort: (reason, detail) => {
          const refusal = this.#refused(
            reason === 'invalid' ? 'invalid' : 'aborted',
            peer,
            `${codecs.path}: ${detail}`,
          );
          stream.fail(statusOf(refusal, status.INVALID_ARGUMENT));
        },
        pause: () => stream.pause(),
        resume: () => stream.resume(),
      },
      codecs.response,
      codecs.request,
    );
    this.#channels.add(channel);
    stream.accept({
      message: (message) => channel.receive(message),
      ended: () => channel.peerEnded(),
      broken: (detail) => {
        this.#refusals.count('aborted', peer, `${codecs.path}: ${detail}`);
        channel.lost();
      },
      closed: (cut) => {
        this.#channels.delete(channel);
        if (cut && !channel.closed) this.#countAborted({ peer, connection }, codecs.path);
        channel.lost();
      },
    });
    asOurBug(() => accept(channel, from));
  }

  #answer(
    service: CallService,
    codecs: ServiceCodecs,
    call: ServerUnaryCall<Uint8Array, Uint8Array>,
    done: sendUnaryData<Uint8Array>,
  ): void {
    const peer = call.getPeer();
    const caller: Caller = { peer, connection: Number(call.metadata.get(CONNECTION)[0]) };
    this.#served(caller.connection);
    // Who asks for an identity has none to show.
    const from = service === 'cluster' ? 0 : this.#senderOf(call.metadata, caller, codecs.path);
    if (typeof from !== 'number') {
      done(statusOf(from, status.FAILED_PRECONDITION));
      return;
    }
    let request: unknown;
    try {
      request = codecs.request.read(call.request);
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      done(statusOf(this.#refused('invalid', peer, `${codecs.path}: ${detail}`), status.INVALID_ARGUMENT));
      return;
    }
    const impostor = service === 'cluster' ? this.#impostor(request as ClusterRequest, caller) : undefined;
    if (impostor !== undefined) {
      done(statusOf(impostor, status.PERMISSION_DENIED));
      return;
    }
    this.#services
      .answer(service)(request, from)
      .then((response) => encode(codecs.response, response))
      .then(
        (bytes) => done(null, bytes),
        (error: unknown) => {
          done(statusOf(error, status.UNKNOWN));
          if (error instanceof AssertionFailed) throw error;
        },
      );
  }

  /** A stream also ends so when its connection does, which is nobody's fault and known a moment later. */
  #countAborted({ peer, connection }: Caller, path: string): void {
    const timer = setTimeout(() => {
      if (this.#gate.connection(connection) !== undefined) this.#refusals.count('aborted', peer, path);
    }, ABORTED_LOOK_MS);
    timer.unref();
  }

  #served(connection: number): void {
    const known = this.#gate.connection(connection);
    if (known !== undefined) known.served = true;
  }

  #senderOf(metadata: Metadata, caller: Caller, path: string): number | SluiceError {
    const { peer } = caller;
    const from = senderOf(metadata, this.#identity);
    if (typeof from !== 'number') return this.#refused(from, peer, path);
    if (!this.#usesTls) return from;
    const claimed = this.#addresses.entryOf(from);
    if (claimed === undefined) return this.#refused('unknown-sender', peer, `${path} of node ${from}`);
    return this.#mistaken(claimed, caller) ?? from;
  }

  /** Who asks for a place says who it is in the question itself; the name of another node is asked for as that node. */
  #impostor(request: ClusterRequest, caller: Caller): SluiceError | undefined {
    if (!this.#usesTls) return undefined;
    if (request.type === 'hello') return this.#mistaken({ address: request.address, name: '' }, caller);
    const { address, name } = request.node;
    const bearer = this.#addresses.entryNamed(name);
    return (
      this.#mistaken({ address, name }, caller) ?? (bearer === undefined ? undefined : this.#mistaken(bearer, caller))
    );
  }

  /** Why the certificate of a connection does not speak for a node; undefined when it does. */
  #mistaken(claimed: { address: string; name: string }, { peer, connection }: Caller): SluiceError | undefined {
    const names = this.#gate.connection(connection)?.names;
    // A connection that is gone meanwhile has nothing to show, and nobody to answer.
    if (names === undefined) return peerUnavailable('the connection is closed');
    if (names.speaksFor(claimed)) return undefined;
    const who = [claimed.name, claimed.address].filter((text) => text !== '').join(' at ');
    return this.#refused('wrong-certificate', peer, `the certificate of ${names} does not speak for ${who}`);
  }

  #refused(reason: RefusalReason, peer: string, detail: string): SluiceError {
    this.#refusals.count(reason, peer, detail);
    switch (reason) {
      case 'no-identity':
        return peerUnavailable('the node has no identity yet');
      case 'not-served':
        return peerUnavailable('no role of the node serves this');
      case 'no-cluster':
      case 'wrong-cluster':
        return new SluiceError('WRONG_CLUSTER', 'the node belongs to another cluster');
      case 'wrong-node':
        return new SluiceError('WRONG_NODE', 'another node listens at this address', { retriable: true });
      case 'unknown-sender':
        return peerUnavailable('the node has not been told who this one is');
      case 'wrong-certificate':
        return new SluiceError('CERTIFICATE_REFUSED', detail, { hint: 'see the log of that node' });
      case 'bad-sender':
        return new SluiceError('WRONG_NODE', 'the sender names no node, or this one');
      case 'invalid':
        return new SluiceError('WIRE_INVALID', detail);
      default:
        return peerUnavailable(detail);
    }
  }
}

/** Who it is from: as people know it, and as the gate does. */
interface Caller {
  readonly peer: string;
  readonly connection: number;
}

/** Set by us on what goes to grpc-js, which tells of a call only the address at its other end. */
const CONNECTION = 'sluice-connection';

/** gRPC would make a status of it and go on. */
function asOurBug(action: () => void): void {
  try {
    action();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
