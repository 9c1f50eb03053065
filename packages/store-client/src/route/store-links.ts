import type { Clock } from '@sluice/common/clock';
import type { NodeInfo } from '@sluice/meta/node-info';
import type { Channel, ChannelService, Transport } from '@sluice/rpc/transport';
import { WatchTimer } from './watch-timer.ts';

/**
 * One channel to every store, whether or not there is anything to say to it: a store that begins to lead says so on all
 * of them, and who listened before it happened need not ask around afterwards.
 *
 * A channel that was lost is opened again after a pause that doubles, dead nodes included: with every coordinator gone
 * nobody else would say that a store is back. Nothing is sent again here; that is decided by partition.
 */
export class StoreLinks<Request, Response> {
  readonly #service: ChannelService;
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #received: (link: StoreLink<Request, Response>, response: Response) => void;
  readonly #lost: (link: StoreLink<Request, Response>) => void;
  readonly #peers = new Map<number, Peer<Request, Response>>();
  readonly #reopening: WatchTimer;
  #isClosed = false;

  static readonly LOOK_MS = 50;
  static readonly BACKOFF_MS_MIN = 20;
  static readonly BACKOFF_MS_MAX = 1_000;
  /** A channel that lived this long was a good one: the next loss is a new trouble, not the same. */
  static readonly GOOD_MS = 5_000;

  constructor(options: {
    service: ChannelService;
    transport: Transport;
    clock: Clock;
    received: (link: StoreLink<Request, Response>, response: Response) => void;
    lost: (link: StoreLink<Request, Response>) => void;
  }) {
    this.#service = options.service;
    this.#transport = options.transport;
    this.#clock = options.clock;
    this.#received = options.received;
    this.#lost = options.lost;
    this.#reopening = new WatchTimer(StoreLinks.LOOK_MS, () => this.#reopen());
  }

  /** Channels to the stores among these nodes are kept open, others closed. */
  keep(nodes: readonly NodeInfo[]): void {
    const stores = new Set<number>();
    for (const { nodeId, state, roles } of nodes) {
      if (state !== 'gone' && roles.includes('store')) stores.add(nodeId);
    }
    for (const nodeId of stores) if (!this.#peers.has(nodeId)) this.to(nodeId);
    for (const [nodeId, peer] of this.#peers) {
      if (stores.has(nodeId)) continue;
      this.#peers.delete(nodeId);
      peer.link?.channel.close();
    }
  }

  /** Opens it when it is down, without a pause: somebody has a reason to reach that store, and paces its reasons. */
  to(nodeId: number): StoreLink<Request, Response> {
    let peer = this.#peers.get(nodeId);
    if (peer === undefined) {
      peer = { link: undefined, reopenAtMs: 0, backoffMs: StoreLinks.BACKOFF_MS_MIN };
      this.#peers.set(nodeId, peer);
    }
    peer.link ??= this.#open(nodeId, peer);
    return peer.link;
  }

  close(): void {
    this.#isClosed = true;
    this.#reopening.close();
    for (const peer of this.#peers.values()) peer.link?.channel.close();
  }

  /** Opens what was lost and has paused long enough. Returns whether anything is still lost. */
  #reopen(): boolean {
    const nowMs = this.#clock.monotonicMs();
    let isLost = false;
    for (const [nodeId, peer] of this.#peers) {
      if (peer.link === undefined && nowMs >= peer.reopenAtMs) peer.link = this.#open(nodeId, peer);
      isLost ||= peer.link === undefined;
    }
    return isLost;
  }

  #open(nodeId: number, peer: Peer<Request, Response>): StoreLink<Request, Response> {
    const channel = this.#transport.open<Request, Response>(nodeId, this.#service);
    const link: StoreLink<Request, Response> = { nodeId, channel };
    const openedMs = this.#clock.monotonicMs();
    channel.onMessage((response) => this.#received(link, response));
    channel.onClose(() => this.#closed(peer, link, openedMs));
    return link;
  }

  #closed(peer: Peer<Request, Response>, link: StoreLink<Request, Response>, openedMs: number): void {
    if (this.#isClosed) return;
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - openedMs >= StoreLinks.GOOD_MS) peer.backoffMs = StoreLinks.BACKOFF_MS_MIN;
    peer.link = undefined;
    peer.reopenAtMs = nowMs + peer.backoffMs;
    peer.backoffMs = Math.min(peer.backoffMs * 2, StoreLinks.BACKOFF_MS_MAX);
    this.#reopening.watch();
    this.#lost(link);
  }
}

/** One channel's life; a reopened one is another link, so that nobody takes it for the one that was lost. */
export interface StoreLink<Request, Response> {
  readonly nodeId: number;
  readonly channel: Channel<Request, Response>;
}

interface Peer<Request, Response> {
  link: StoreLink<Request, Response> | undefined;
  reopenAtMs: number;
  backoffMs: number;
}
