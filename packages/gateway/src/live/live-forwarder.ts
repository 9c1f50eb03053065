import { SluiceError } from '@sluice/common/errors';
import type { PublishedMessage } from '@sluice/mqtt/protocol/deliverable-message';
import { ForwardBatch } from './forward-batch.ts';
import type { LiveMeshMetrics } from './live-mesh-metrics.ts';
import { LivePeer } from './live-peer.ts';
import type { LiveRouter } from './live-router.ts';
import { RemoteGroup, type RemoteRoutes } from './remote-routes.ts';

/**
 * Which gateways get a message, and the batch of a turn that brings it to them. Each gets it once, for its ordinary
 * subscribers and for those groups whose one copy it is to deliver. A group's copy goes to a gateway in turn, this one
 * among them when it has members: by gateways and not by members, whose numbers nobody tells the others.
 *
 * A gateway that is out of reach or over its bound gets nothing, and what it missed is counted; a group's copy goes to
 * the next gateway then.
 *
 * @hotpath
 */
export class LiveForwarder {
  readonly #peers: ReadonlyMap<number, LivePeer>;
  readonly #routes: RemoteRoutes<LivePeer>;
  readonly #live: LiveRouter;
  readonly #metrics: LiveMeshMetrics;
  readonly #batch = new ForwardBatch();

  constructor(parts: {
    peers: ReadonlyMap<number, LivePeer>;
    routes: RemoteRoutes<LivePeer>;
    live: LiveRouter;
    metrics: LiveMeshMetrics;
  }) {
    this.#peers = parts.peers;
    this.#routes = parts.routes;
    this.#live = parts.live;
    this.#metrics = parts.metrics;
  }

  /** False while something waits for the end of the turn. */
  get isEmpty(): boolean {
    return this.#batch.isEmpty;
  }

  /** Enough for one message between gateways: send before the turn ends. */
  get isFull(): boolean {
    return this.#batch.isFull;
  }

  /** Puts the message into the turn of each gateway that wants it. Returns how many copies that is. */
  forward(message: PublishedMessage, nowMs: number): number {
    const matches = this.#routes.match(message.topic);
    if (matches.length === 0) return 0;
    const offer = new Offer(message, nowMs);
    const copies = this.#offerToMatches(matches, offer);
    const dealt = this.#dealGroups(matches, offer);
    // Last: whoever gets it may publish in turn.
    const { groupsHere } = offer;
    if (groupsHere !== undefined) for (const group of groupsHere) this.#live.deliverShared(message, group);
    return copies + dealt;
  }

  #offerToMatches(matches: Matches, offer: Offer): number {
    let copies = 0;
    for (let i = 0; i < matches.length; i++) {
      const match = matches[i] as LivePeer | RemoteGroup<LivePeer>;
      if (match instanceof LivePeer && this.#offer(match, offer)) copies++;
    }
    return copies;
  }

  #dealGroups(matches: Matches, offer: Offer): number {
    let copies = 0;
    for (let i = 0; i < matches.length; i++) {
      const match = matches[i] as LivePeer | RemoteGroup<LivePeer>;
      if (match instanceof RemoteGroup && this.#deal(match, offer)) copies++;
    }
    return copies;
  }

  #offer(peer: LivePeer, offer: Offer): boolean {
    if (offer.number >= 0 && peer.outbox.endsWith(offer.number)) return true;
    if (!peer.hasRoom) {
      this.#metrics.dropped(peer.outgoing === undefined ? 'unreachable' : 'peer_full');
      return false;
    }
    if (!this.#encode(offer)) return false;
    peer.outbox.put(offer.number, this.#batch.sizeBytes(offer.number));
    return true;
  }

  /** The group's one copy: a gateway a message, this one among them when it has members. */
  #deal(group: RemoteGroup<LivePeer>, offer: Offer): boolean {
    const { gateways, topicFilter } = group;
    const places = this.#live.hasGroup(topicFilter) ? gateways.length + 1 : gateways.length;
    for (let tries = 0; tries < places; tries++) {
      if (group.turn >= places) group.turn = 0;
      const peer = gateways[group.turn++];
      if (peer === undefined) {
        if (offer.groupsHere === undefined) offer.groupsHere = [topicFilter];
        else offer.groupsHere.push(topicFilter);
        return true;
      }
      if (!peer.hasRoom || !this.#offer(peer, offer)) continue;
      peer.outbox.share(group.route);
      return true;
    }
    this.#metrics.dropped('no_member');
    return false;
  }

  #encode(offer: Offer): boolean {
    if (offer.number >= 0) return true;
    try {
      offer.number = this.#batch.add(offer.message, offer.nowMs);
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      this.#metrics.dropped('invalid');
      return false;
    }
    return true;
  }

  /** The turn's messages, to everybody they are for. */
  send(): void {
    if (this.#batch.isEmpty) return;
    this.#batch.seal();
    for (const peer of this.#peers.values()) {
      const { outbox, outgoing } = peer;
      if (outbox.isEmpty) continue;
      this.#metrics.forwarded.add(outbox.numbers.length);
      this.#metrics.forwardedBytes.add(outbox.sizeBytes);
      const messages = this.#batch.messagesFor(outbox);
      outgoing?.send({ type: 'publish', messages });
    }
    this.#batch.reset();
  }
}

type Matches = readonly (LivePeer | RemoteGroup<LivePeer>)[];

/** One message on its way into the turn; encoded when the first gateway takes it. */
class Offer {
  readonly message: PublishedMessage;
  readonly nowMs: number;
  number = -1;
  /** Groups whose copy stays on this gateway. */
  groupsHere: string[] | undefined = undefined;

  constructor(message: PublishedMessage, nowMs: number) {
    this.message = message;
    this.nowMs = nowMs;
  }
}
