import { SluiceError } from '@sluice/common/errors';
import type { CallService, Channel, ChannelService, ServiceRegistry, Transport } from '../transport.ts';
import { type InprocChannel, type InprocLink, inprocPair } from './inproc-channel.ts';
import { type MessageCopies, REFERENCES } from './message-copies.ts';
import { ServiceTable } from './service-table.ts';
import { WIRE_COPIES } from './wire-copies.ts';

export interface InprocNetworkOptions {
  /** True: every message is encoded and decoded as between real nodes. False: references are passed. */
  codecs: boolean;
  /** When what was sent from one node to another arrives; a microtask later unless given. Must not call it at once. */
  schedule?: (task: () => void, from: number, to: number) => void;
}

/**
 * Several nodes in one process, for tests and the simulator: each with services of its own, and faults between them.
 *
 * A cut is one-way and silent, as a dropped packet is: what is sent into it vanishes, and neither end is told. A stream
 * never has a hole, so a channel that lost something closes at both ends when the cut is healed, as the keepalive of a
 * real connection would have done in between; `break` closes at once. A call that meets a cut is rejected at once: the
 * stand-in for its deadline, without a timer.
 */
export class InprocNetwork {
  readonly #options: InprocNetworkOptions;
  readonly #copies: MessageCopies;
  readonly #nodes = new Map<number, NetworkNode>();
  readonly #cuts = new Set<string>();
  readonly #pairs = new Set<Pair>();

  constructor(options: InprocNetworkOptions) {
    this.#options = options;
    this.#copies = options.codecs ? WIRE_COPIES : REFERENCES;
  }

  /** The node of that id; after `stop`, a new one without services. */
  node(nodeId: number): Transport & ServiceRegistry {
    let node = this.#nodes.get(nodeId);
    if (node === undefined) {
      node = new NetworkNode(this, nodeId);
      this.#nodes.set(nodeId, node);
    }
    return node;
  }

  /** From now on nothing reaches `to` from `from`. */
  cut(from: number, to: number): void {
    this.#cuts.add(wayOf(from, to));
  }

  heal(from: number, to: number): void {
    this.#cuts.delete(wayOf(from, to));
    for (const pair of [...this.#pairs]) {
      const holed = (pair.opener === from && pair.near.lost) || (pair.acceptor === from && pair.far.lost);
      if (holed && joins(pair, from, to)) sever(pair);
    }
  }

  /** Closes every channel between the two, whoever opened it, at both ends. */
  break(a: number, b: number): void {
    for (const pair of [...this.#pairs]) if (joins(pair, a, b)) sever(pair);
  }

  /** The node's process ends: its channels close, and nobody answers under its id until `node` is asked for it again. */
  stop(nodeId: number): void {
    this.#nodes.delete(nodeId);
    for (const pair of [...this.#pairs]) if (pair.opener === nodeId || pair.acceptor === nodeId) sever(pair);
  }

  /** Channels with an end that is not closed: a test may assert that nothing is left. */
  get openChannels(): number {
    return this.#pairs.size;
  }

  open(opener: NetworkNode, acceptor: number, service: ChannelService): InprocChannel {
    const copies = this.#copies.channel(service);
    const there = this.#link(opener.nodeId, acceptor, copies.request);
    const back = this.#link(acceptor, opener.nodeId, copies.response);
    const ends = inprocPair(there, back, () => {
      if (ends.near.closed && ends.far.closed) this.#pairs.delete(pair);
    });
    const pair: Pair = { opener: opener.nodeId, acceptor, ...ends };
    this.#pairs.add(pair);
    if (this.#nodes.get(opener.nodeId) !== opener) sever(pair);
    else if (there.isCut()) ends.near.loseOpening();
    else {
      const accept = this.#nodes.get(acceptor)?.services.channel(service);
      if (accept === undefined) sever(pair);
      else accept(ends.far, opener.nodeId);
    }
    return ends.near;
  }

  async call(asker: NetworkNode, asked: number, service: CallService, request: unknown): Promise<unknown> {
    const copies = this.#copies.call(service);
    const node = this.#nodes.get(asked);
    const unreachable = (): boolean =>
      node === undefined || this.#nodes.get(asked) !== node || this.#nodes.get(asker.nodeId) !== asker;
    if (node === undefined || unreachable() || this.#isCut(asker.nodeId, asked)) throw nobodyAnswers(asked, service);
    await this.#arrival(asker.nodeId, asked);
    if (unreachable()) throw nobodyAnswers(asked, service);
    const response = await node.services.answer(service)(copies.request(request), asker.nodeId);
    if (unreachable() || this.#isCut(asked, asker.nodeId)) throw nobodyAnswers(asked, service);
    await this.#arrival(asked, asker.nodeId);
    return copies.response(response);
  }

  #link(from: number, to: number, copy: (message: unknown) => unknown): InprocLink {
    return {
      copy,
      isCut: () => this.#isCut(from, to),
      schedule: (task) => this.#schedule(task, from, to),
    };
  }

  #isCut(from: number, to: number): boolean {
    return this.#cuts.has(wayOf(from, to));
  }

  #schedule(task: () => void, from: number, to: number): void {
    if (this.#options.schedule === undefined) queueMicrotask(task);
    else this.#options.schedule(task, from, to);
  }

  #arrival(from: number, to: number): Promise<void> {
    return new Promise((resolve) => this.#schedule(resolve, from, to));
  }
}

interface Pair {
  opener: number;
  acceptor: number;
  near: InprocChannel;
  far: InprocChannel;
}

class NetworkNode implements Transport, ServiceRegistry {
  readonly nodeId: number;
  readonly services = new ServiceTable();
  readonly #network: InprocNetwork;

  constructor(network: InprocNetwork, nodeId: number) {
    this.#network = network;
    this.nodeId = nodeId;
  }

  serveChannel<In, Out>(service: ChannelService, accept: (channel: Channel<Out, In>, from: number) => void): void {
    this.services.serveChannel(service, accept);
  }

  serveCall<Request, Response>(
    service: CallService,
    answer: (request: Request, from: number) => Promise<Response>,
  ): void {
    this.services.serveCall(service, answer);
  }

  open<Out, In>(nodeId: number, service: ChannelService): Channel<Out, In> {
    return this.#network.open(this, nodeId, service) as Channel<Out, In>;
  }

  call<Request, Response>(nodeId: number, service: CallService, request: Request): Promise<Response> {
    return this.#network.call(this, nodeId, service, request) as Promise<Response>;
  }
}

function wayOf(from: number, to: number): string {
  return `${from}>${to}`;
}

function joins(pair: Pair, a: number, b: number): boolean {
  return (pair.opener === a && pair.acceptor === b) || (pair.opener === b && pair.acceptor === a);
}

function sever(pair: Pair): void {
  pair.near.end();
  pair.far.end();
}

function nobodyAnswers(nodeId: number, service: CallService): SluiceError {
  return new SluiceError('PEER_UNAVAILABLE', `node ${nodeId} does not answer ${service}`, { retriable: true });
}
