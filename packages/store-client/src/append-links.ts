import type { Clock } from '@sluice/common/clock';
import type { AppendRequest, AppendResponse } from '@sluice/rpc/contract/append';
import type { Channel, Transport } from '@sluice/rpc/transport';

/**
 * One append channel to every store, whether or not something is published into its partitions: a store that begins to
 * lead says so on all of them, and who listened before it happened need not ask around afterwards.
 *
 * A channel that was lost is opened again after a pause that doubles, dead nodes included: with every coordinator gone
 * nobody else would say that a store is back. Nothing is sent again here; that is decided by partition.
 */
export class AppendLinks {
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #received: (link: AppendLink, response: AppendResponse) => void;
  readonly #lost: (link: AppendLink) => void;
  readonly #peers = new Map<number, Peer>();
  #isClosed = false;

  static readonly BACKOFF_MS_MIN = 20;
  static readonly BACKOFF_MS_MAX = 1_000;
  /** A channel that lived this long was a good one: the next loss is a new trouble, not the same. */
  static readonly GOOD_MS = 5_000;

  constructor(options: {
    transport: Transport;
    clock: Clock;
    received: (link: AppendLink, response: AppendResponse) => void;
    lost: (link: AppendLink) => void;
  }) {
    this.#transport = options.transport;
    this.#clock = options.clock;
    this.#received = options.received;
    this.#lost = options.lost;
  }

  /** Channels to these stores are kept open, others closed. */
  keep(nodeIds: readonly number[]): void {
    for (const nodeId of nodeIds) if (!this.#peers.has(nodeId)) this.to(nodeId);
    for (const [nodeId, peer] of this.#peers) {
      if (nodeIds.includes(nodeId)) continue;
      this.#peers.delete(nodeId);
      peer.link?.channel.close();
    }
  }

  /** Opens it when it is down, without a pause: somebody has a reason to reach that store, and paces its reasons. */
  to(nodeId: number): AppendLink {
    let peer = this.#peers.get(nodeId);
    if (peer === undefined) {
      peer = { link: undefined, reopenAtMs: 0, backoffMs: AppendLinks.BACKOFF_MS_MIN };
      this.#peers.set(nodeId, peer);
    }
    peer.link ??= this.#open(nodeId, peer);
    return peer.link;
  }

  /** Opens what was lost and has paused long enough. */
  reopen(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [nodeId, peer] of this.#peers) {
      if (peer.link === undefined && nowMs >= peer.reopenAtMs) peer.link = this.#open(nodeId, peer);
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const peer of this.#peers.values()) peer.link?.channel.close();
  }

  #open(nodeId: number, peer: Peer): AppendLink {
    const channel = this.#transport.open<AppendRequest, AppendResponse>(nodeId, 'append');
    const link: AppendLink = { nodeId, channel };
    const openedMs = this.#clock.monotonicMs();
    channel.onMessage((response) => this.#received(link, response));
    channel.onClose(() => this.#closed(peer, link, openedMs));
    return link;
  }

  #closed(peer: Peer, link: AppendLink, openedMs: number): void {
    if (this.#isClosed) return;
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - openedMs >= AppendLinks.GOOD_MS) peer.backoffMs = AppendLinks.BACKOFF_MS_MIN;
    peer.link = undefined;
    peer.reopenAtMs = nowMs + peer.backoffMs;
    peer.backoffMs = Math.min(peer.backoffMs * 2, AppendLinks.BACKOFF_MS_MAX);
    this.#lost(link);
  }
}

/** One channel's life; a reopened one is another link, so that nobody takes it for the one that was lost. */
export interface AppendLink {
  readonly nodeId: number;
  readonly channel: Channel<AppendRequest, AppendResponse>;
}

interface Peer {
  link: AppendLink | undefined;
  reopenAtMs: number;
  backoffMs: number;
}
