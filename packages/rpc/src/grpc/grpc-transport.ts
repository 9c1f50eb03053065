import { logVerbosity, Metadata, setLogVerbosity } from '@grpc/grpc-js';
import type { Clock } from '@sluice/common/clock';
import type { SluiceError } from '@sluice/common/errors';
import type { Logger } from '@sluice/common/logger';
import type { AddressBook } from '../address-book.ts';
import type { CallService, Channel, ChannelService, Transport } from '../transport.ts';
import { CALL_CODECS, CHANNEL_CODECS } from '../wire/codecs.ts';
import { HANDSHAKE_CLOSED, peerUnavailable } from './call-error.ts';
import { metadataOf, type NodeIdentity } from './identity.ts';
import { News, PASSING_MS } from './news.ts';
import { PeerLink } from './peer-link.ts';
import type { TlsFiles } from './tls-files.ts';

/**
 * Connections to a node. HTTP/2 shares one fairly between its streams, but what TCP has taken goes out in its order, and
 * a lost packet holds all of them up: heartbeats and questions do not queue behind appends, nor appends behind a
 * snapshot.
 */
type Lane = 'control' | 'data' | 'snapshot';

const LANES: Readonly<Record<ChannelService, Lane>> = {
  'raft-control': 'control',
  topology: 'control',
  append: 'data',
  consume: 'data',
  live: 'data',
  sessions: 'data',
  raft: 'data',
  'raft-snapshot': 'snapshot',
};
const CALL_LANE: Lane = 'control';
/** A peer that does not answer must not hold up the end of a node. */
const SHUTDOWN_GRACE_MS = 500;
const SHUTDOWN_LOOK_MS = 5;

setLogVerbosity(logVerbosity.NONE);

export interface GrpcTransportOptions {
  addresses: AddressBook;
  tls: TlsFiles | undefined;
  logger: Logger;
  clock: Clock;
}

/** The way to other nodes. Before `setIdentity` only `callAddress` is of use. */
export class GrpcTransport implements Transport {
  readonly #options: GrpcTransportOptions;
  readonly #links = new Map<string, PeerLink>();
  readonly #retired = new Set<PeerLink>();
  readonly #news: News;
  #tls: TlsFiles | undefined;
  #identity: NodeIdentity | undefined;
  #down = false;

  constructor(options: GrpcTransportOptions) {
    this.#options = options;
    this.#news = new News(options.clock);
    this.#tls = options.tls;
  }

  /** Certificates for connections from now on; those that stand go on until they break. */
  setTls(files: TlsFiles): void {
    this.#tls = files;
    for (const link of [...this.#links.values()]) link.retire();
  }

  setIdentity(identity: NodeIdentity): void {
    this.#identity = identity;
  }

  open<Out, In>(nodeId: number, service: ChannelService): Channel<Out, In> {
    const address = this.#options.addresses.addressOf(nodeId);
    if (address === undefined || this.#identity === undefined || this.#down) return closedChannel;
    const link = this.#link(address, LANES[service]);
    const channel = link.open(CHANNEL_CODECS[service], metadataOf(this.#identity, nodeId)) ?? closedChannel;
    return channel as Channel<Out, In>;
  }

  async call<Request, Response>(nodeId: number, service: CallService, request: Request): Promise<Response> {
    const address = this.#options.addresses.addressOf(nodeId);
    if (address === undefined) throw peerUnavailable(`the address of node ${nodeId} is not known`);
    if (this.#identity === undefined) throw peerUnavailable('this node has no identity yet');
    if (this.#down) throw peerUnavailable('this node is shutting down');
    const link = this.#link(address, CALL_LANE);
    return (await link.call(CALL_CODECS[service], metadataOf(this.#identity, nodeId), request)) as Response;
  }

  /** Asks whoever listens there, without saying who asks: for nodes that do not know each other. */
  async callAddress<Request, Response>(address: string, service: 'cluster', request: Request): Promise<Response> {
    if (this.#down) throw peerUnavailable('this node is shutting down');
    if (address === '') throw peerUnavailable('there is no address to ask');
    return (await this.#link(address, CALL_LANE).call(CALL_CODECS[service], new Metadata(), request)) as Response;
  }

  /** Closes every channel; what was sent before gets a moment to leave, what is opened afterwards is closed at once. */
  async shutdown(): Promise<void> {
    this.#down = true;
    const links = [...this.#links.values(), ...this.#retired];
    for (const link of links) link.closeChannels();
    const deadlineMs = this.#options.clock.monotonicMs() + SHUTDOWN_GRACE_MS;
    while (this.openStreams > 0 && this.#options.clock.monotonicMs() < deadlineMs) {
      await new Promise((resolve) => setTimeout(resolve, SHUTDOWN_LOOK_MS));
    }
    for (const link of links) link.destroy();
    this.#retired.clear();
  }

  /** Streams that are not over: a test may assert that nothing is left. */
  get openStreams(): number {
    let streams = 0;
    for (const link of [...this.#links.values(), ...this.#retired]) streams += link.streams;
    return streams;
  }

  #link(address: string, lane: Lane): PeerLink {
    const key = `${lane} ${address}`;
    const existing = this.#links.get(key);
    if (existing !== undefined) return existing;
    const link = new PeerLink(address, this.#tls, {
      names: () => this.#options.addresses.namesAt(address),
      retired: () => {
        this.#links.delete(key);
        if (link.users > 0 && !this.#down) this.#retired.add(link);
        for (const old of this.#retired) if (old.users === 0) this.#retired.delete(old);
      },
      failed: (error) => this.#log(address, error),
    });
    this.#links.set(key, link);
    return link;
  }

  /** Unreachable is ordinary and its caller's business; a refusal is somebody's mistake. */
  #log(address: string, error: SluiceError): void {
    if (error.code === 'PEER_UNAVAILABLE') {
      this.#options.logger.debug({ address, err: error }, 'a channel to another node broke');
      return;
    }
    // A connection that is cut while it is made looks like one that is refused: of that, what lasts is told.
    const patienceMs = error.code === HANDSHAKE_CLOSED ? PASSING_MS : 0;
    if (!this.#news.isNews(`${address} ${error.code}`, patienceMs)) return;
    const what = WHAT_FAILED.get(error.code) ?? 'another node refuses this one';
    this.#options.logger.warn({ address, err: error, hint: error.hint }, what);
  }
}

const WHAT_FAILED: ReadonlyMap<string, string> = new Map([
  ['PEER_CERTIFICATE', 'this node refuses another'],
  ['PEER_ADDRESS', 'another node cannot be reached where it says it is'],
]);

const closedChannel: Channel<unknown, unknown> & Channel<never, never> = {
  unsentBytes: 0,
  send: () => {},
  onMessage: () => {},
  onClose: (listener) => queueMicrotask(listener),
  close: () => {},
};
