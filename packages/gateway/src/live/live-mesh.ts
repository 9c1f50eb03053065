import type { Clock } from '@sluice/common/clock';
import { SluiceError } from '@sluice/common/errors';
import type { Logger } from '@sluice/common/logger';
import type { PublishedMessage } from '@sluice/mqtt/protocol/deliverable-message';
import type { ForwardedMessage, LiveRequest, LiveResponse, LiveRoute } from '@sluice/rpc/contract/live';
import type { Channel, ServiceRegistry, Transport } from '@sluice/rpc/transport';
import type { TurnFlusher, TurnTaker } from '../connection/turn-flusher.ts';
import type { RetainedInFlight } from '../retained/retained-in-flight.ts';
import { publishedFrom } from './forwarded-message.ts';
import { LiveForwarder } from './live-forwarder.ts';
import type { LiveMeshMetrics } from './live-mesh-metrics.ts';
import { LivePeer } from './live-peer.ts';
import type { LiveRouteObserver, LiveRouter } from './live-router.ts';
import { RemoteRoutes, topicFilterOf } from './remote-routes.ts';
import { type RouteWaiter, RouteWaiters } from './route-waiters.ts';

/**
 * Live publish and subscribe over gateways: whoever subscribes here gets what is published there. Sending everything to
 * everybody would make each gateway do the work of all of them, so each says which filters its clients want, and gets a
 * message once, however many of them want it. What comes from another gateway goes to subscribers here and nowhere
 * else: it cannot circle, and the queues have it from where it was published.
 *
 * A turn goes out as one message a gateway: routes first, so that an answer published by whoever got a message finds
 * the way back to a filter that was subscribed before. A copy of a `$share` group goes to one gateway, in turn.
 *
 * At most once between gateways: what a peer cannot be sent is dropped and counted. What must not be lost is a queue's.
 *
 * @hotpath
 */
export class LiveMesh implements LiveRouteObserver, TurnTaker {
  turnRequested = false;
  /** To other gateways. */
  readonly delivers = true;
  readonly #options: LiveMeshOptions;
  readonly #live: LiveRouter;
  readonly metrics: LiveMeshMetrics;
  readonly #peers = new Map<number, LivePeer>();
  readonly #routes: RemoteRoutes<LivePeer>;
  readonly #forwarder: LiveForwarder;
  /** Since the last turn, by topic filter; what came and went again is not in it. */
  readonly #changes = new Map<string, { route: LiveRoute; isAdded: boolean }>();
  #connected: ClientConnected[] = [];
  /** Of our routes; 0 is before the first. */
  #version = 1;
  /** Somebody waits for this version, whether or not a route is new in it. */
  #awaitedVersion = 0;
  /** SUBACKs. */
  readonly #waiters = new RouteWaiters();
  /** Who is to read what is retained. */
  readonly #readers = new RouteWaiters();
  #waitTimer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: LiveMeshOptions) {
    this.#options = options;
    this.#live = options.live;
    this.metrics = options.metrics;
    this.#routes = new RemoteRoutes((topicFilter, isElsewhere) => {
      options.live.setGroupElsewhere(topicFilter, isElsewhere);
    });
    const { live, metrics } = options;
    this.#forwarder = new LiveForwarder({ peers: this.#peers, routes: this.#routes, live, metrics });
    live.observe(this);
    options.metrics.gauges({
      peers: () => this.peersReached,
      wanted: () => options.live.wantedCount,
      remote: () => this.#routes.size,
    });
  }

  /** False while this is the only gateway: there is nothing to ask it. */
  get active(): boolean {
    return this.#peers.size > 0;
  }

  get peersReached(): number {
    let reached = 0;
    for (const peer of this.#peers.values()) if (peer.outgoing !== undefined) reached++;
    return reached;
  }

  /** Routes of other gateways that this one acts on. */
  get remoteRoutes(): number {
    return this.#routes.size;
  }

  // ---- who the others are

  serve(registry: ServiceRegistry): void {
    registry.serveChannel<LiveRequest, LiveResponse>('live', (channel, from) => this.#accept(channel, from));
  }

  /**
   * All gateways of the cluster as far as it is known, this one included or not. Again with every change. One that is
   * not known here, and knows this one, is a peer for as long as its channel lives.
   */
  setPeers(nodeIds: Iterable<number>): void {
    if (this.#closed) return;
    const named = new Set(nodeIds);
    named.delete(this.#options.nodeId);
    for (const peer of [...this.#peers.values()]) {
      if (peer.named && !named.has(peer.nodeId)) this.#forget(peer);
    }
    for (const nodeId of named) {
      const peer = this.#peerOf(nodeId);
      peer.named = true;
      this.#reach(peer);
    }
  }

  /** Every now and then, some times a second: opens closed channels again. */
  tick(): void {
    if (!this.active) return;
    const nowMs = this.#options.clock.monotonicMs();
    for (const peer of this.#peers.values()) if (nowMs >= peer.retryAtMs) this.#reach(peer);
  }

  /** Sends what this turn has left. */
  close(): void {
    if (this.#closed) return;
    this.takeTurn();
    this.#closed = true;
    for (const peer of [...this.#peers.values()]) this.#forget(peer);
    clearTimeout(this.#waitTimer);
    this.#release();
  }

  #peerOf(nodeId: number): LivePeer {
    let peer = this.#peers.get(nodeId);
    if (peer === undefined) {
      peer = new LivePeer(nodeId);
      this.#peers.set(nodeId, peer);
    }
    return peer;
  }

  #accept(channel: Channel<LiveResponse, LiveRequest>, from: number): void {
    if (this.#closed || from === this.#options.nodeId) {
      channel.close();
      return;
    }
    const peer = this.#peerOf(from);
    const former = peer.incoming;
    peer.incoming = channel;
    peer.owedVersion = 0;
    if (former !== undefined) {
      this.#routes.removeAll(peer);
      former.close();
    }
    channel.onMessage((message) => {
      if (peer.incoming === channel) this.#receive(peer, message);
    });
    channel.onClose(() => {
      if (peer.incoming !== channel) return;
      peer.incoming = undefined;
      this.#routes.removeAll(peer);
      if (!peer.named) this.#forget(peer);
    });
    // It is there: no reason to wait for our next try.
    this.#reach(peer);
  }

  #reach(peer: LivePeer): void {
    if (peer.outgoing !== undefined || peer.opening || this.#closed) return;
    peer.opening = true;
    const channel = this.#options.transport.open<LiveRequest, LiveResponse>(peer.nodeId, 'live');
    peer.opening = false;
    peer.began(channel);
    channel.onMessage((message) => {
      if (peer.outgoing === channel) this.#seen(peer, message.version);
    });
    channel.onClose(() => {
      if (peer.outgoing === channel) this.#lost(peer);
    });
    peer.sendImage(this.#live.wanted(), this.#version);
    if (peer.owedVersion !== 0) peer.acted(peer.owedVersion);
    peer.owedVersion = 0;
  }

  #lost(peer: LivePeer): void {
    peer.outgoing = undefined;
    if (!peer.outbox.isEmpty) this.metrics.dropped('unreachable', peer.outbox.numbers.length);
    peer.outbox.clear();
    peer.backOff(this.#options.clock.monotonicMs());
    this.#release();
  }

  #forget(peer: LivePeer): void {
    this.#peers.delete(peer.nodeId);
    this.#routes.removeAll(peer);
    const { outgoing, incoming } = peer;
    peer.incoming = undefined;
    if (outgoing !== undefined) this.#lost(peer);
    outgoing?.close();
    incoming?.close();
  }

  // ---- our routes

  routeAdded(filter: string, share: string): void {
    this.#changed({ filter, share }, true);
  }

  routeRemoved(filter: string, share: string): void {
    this.#changed({ filter, share }, false);
  }

  #changed(route: LiveRoute, isAdded: boolean): void {
    // Whoever comes later gets an image.
    if (!this.active) return;
    const key = topicFilterOf(route);
    if (!this.#changes.delete(key)) this.#changes.set(key, { route, isAdded });
    this.#options.flusher.request(this);
  }

  /**
   * True when some gateway does not act yet on what has been subscribed here: `routesSeen` is called when all do, after
   * `SEEN_WAIT_MS` at the latest.
   */
  waitForRoutes(waiter: RouteWaiter): boolean {
    if (!this.active) return false;
    const version = this.#changes.size > 0 ? this.#version + 1 : this.#version;
    if (this.#seenByAll() >= version) return false;
    this.#awaitedVersion = Math.max(this.#awaitedVersion, version);
    this.#waiters.add(waiter, version, this.#options.clock.monotonicMs() + SEEN_WAIT_MS);
    this.#watch(SEEN_WAIT_MS);
    return true;
  }

  /**
   * For who has subscribed and is to read what is retained: a version that no gateway acts on yet, whether or not a route
   * is new. Where a filter is subscribed here already, what another gateway retains in this moment went live to those who
   * have it, and may be in the stores only later: whoever waits for this version misses it by neither way. All who ask in
   * a turn are one question, and a gateway has one such question at a time.
   */
  askForRetained(): number {
    if (!this.active) return 0;
    this.#awaitedVersion = this.#version + 1;
    this.#options.flusher.request(this);
    return this.#awaitedVersion;
  }

  /** The same for who waited for a partition: gateways that did not answer may have waited for it, and it is there again. */
  askAgainForRetained(): number {
    for (const peer of this.#peers.values()) peer.isSilent = false;
    return this.askForRetained();
  }

  /** True when some gateway has not answered what `askForRetained` returned; after `STORED_WAIT_MS` none is waited for. */
  waitForRetained(waiter: RouteWaiter, version: number): boolean {
    if (this.#storedByAll() >= version) return false;
    this.#readers.add(waiter, version, this.#options.clock.monotonicMs() + STORED_WAIT_MS);
    this.#watch(SEEN_WAIT_MS);
    return true;
  }

  #seenByAll(): number {
    let seen = Number.POSITIVE_INFINITY;
    for (const peer of this.#peers.values()) {
      if (peer.outgoing !== undefined && !peer.isLate && peer.seenVersion < seen) seen = peer.seenVersion;
    }
    return seen;
  }

  #storedByAll(): number {
    let seen = Number.POSITIVE_INFINITY;
    for (const peer of this.#peers.values()) {
      if (peer.outgoing !== undefined && !peer.isSilent && peer.seenVersion < seen) seen = peer.seenVersion;
    }
    return seen;
  }

  #seen(peer: LivePeer, version: number): void {
    const nowMs = this.#options.clock.monotonicMs();
    peer.seen(version, this.#version, nowMs, SEEN_WAIT_MS);
    peer.ask(this.#version, nowMs);
    this.#release();
  }

  #release(): void {
    if (!this.#waiters.isEmpty) this.#waiters.seen(this.#seenByAll());
    if (!this.#readers.isEmpty) this.#readers.seen(this.#storedByAll());
  }

  /** One timer for all who wait, and only while somebody does. */
  #watch(afterMs: number): void {
    if (this.#waitTimer !== undefined) return;
    this.#waitTimer = setTimeout(() => this.#waitedLong(), afterMs);
    this.#waitTimer.unref();
  }

  #waitedLong(): void {
    this.#waitTimer = undefined;
    const nowMs = this.#options.clock.monotonicMs();
    const version = this.#waiters.overdue(nowMs);
    if (version > 0) {
      this.metrics.unseen.add();
      for (const peer of this.#peers.values()) if (peer.seenVersion < version) peer.isLate = true;
    }
    const unread = this.#readers.overdue(nowMs);
    if (unread > 0) {
      this.metrics.retainedUnseen.add();
      for (const peer of this.#peers.values()) {
        if (peer.outgoing !== undefined && peer.seenVersion < unread) peer.isSilent = true;
      }
    }
    this.#release();
    if (!this.#waiters.isEmpty || !this.#readers.isEmpty) this.#watch(WATCH_MS);
  }

  // ---- messages out

  /** Puts the message into the turn of each gateway that wants it. Returns how many copies that is. */
  forward(message: PublishedMessage, nowMs: number): number {
    if (this.#forwarder.isFull) this.takeTurn();
    const copies = this.#forwarder.forward(message, nowMs);
    if (!this.#forwarder.isEmpty) this.#options.flusher.request(this);
    return copies;
  }

  /** A client was let in here: whoever else has it lets it go. */
  clientConnected(clientId: string, identity: string | undefined, connectedAtMs: number): void {
    if (!this.active) return;
    this.#connected.push({ type: 'client-connected', clientId, identity: identity ?? '', connectedAtMs });
    this.#options.flusher.request(this);
  }

  takeTurn(): void {
    for (const peer of this.#peers.values()) if (peer.isLost) peer.outgoing?.close();
    this.#sendChanges();
    this.#forwarder.send();
    if (this.#connected.length === 0) return;
    const connected = this.#connected;
    this.#connected = [];
    for (const peer of this.#peers.values()) for (const client of connected) peer.outgoing?.send(client);
  }

  #sendChanges(): void {
    if (this.#changes.size === 0 && this.#awaitedVersion <= this.#version) return;
    const added: LiveRoute[] = [];
    const removed: LiveRoute[] = [];
    for (const { route, isAdded } of this.#changes.values()) (isAdded ? added : removed).push(route);
    this.#changes.clear();
    const version = ++this.#version;
    const nowMs = this.#options.clock.monotonicMs();
    const isQuestion = added.length === 0 && removed.length === 0;
    for (const peer of this.#peers.values()) {
      if (isQuestion) peer.ask(version, nowMs);
      else peer.sendChanges(version, added, removed, nowMs);
    }
    this.#release();
  }

  // ---- what comes in

  #receive(peer: LivePeer, message: LiveRequest): void {
    switch (message.type) {
      case 'routes':
        this.#routes.removeAll(peer);
        for (const route of message.filters) this.#routes.add(peer, route);
        this.#acts(peer, message.version);
        return;
      case 'routes-changed':
        for (const route of message.removed) this.#routes.remove(peer, route);
        for (const route of message.added) this.#routes.add(peer, route);
        this.#acts(peer, message.version);
        return;
      case 'publish':
        for (const forwarded of message.messages) this.#deliver(peer, forwarded);
        return;
      case 'client-connected': {
        const { clientId, identity, connectedAtMs } = message;
        const ours = this.#options.connectedElsewhere({ clientId, identity, connectedAtMs, nodeId: peer.nodeId });
        if (ours !== undefined) peer.outgoing?.send({ ...message, connectedAtMs: ours });
        return;
      }
    }
  }

  /**
   * What is published here from now on finds its way to the peer. It is told when what was retained before is in the
   * stores as well, where its subscribers will look: in between nothing is missed by both ways.
   */
  #acts(peer: LivePeer, version: number): void {
    const { incoming } = peer;
    // A piece of more, or nobody asks.
    if (version === 0) return;
    this.#options.retainedInFlight.afterThose(() => {
      if (peer.incoming === incoming) peer.acted(version);
    });
  }

  #deliver(peer: LivePeer, forwarded: ForwardedMessage): void {
    this.metrics.received.add();
    this.metrics.receivedBytes.add(forwarded.record.length);
    let message: PublishedMessage;
    try {
      message = publishedFrom(forwarded.record);
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      this.metrics.dropped('invalid');
      this.#options.logger.warn({ err: error, peer: peer.nodeId }, 'a gateway forwarded what is no message');
      return;
    }
    this.#live.routeOrdinary(message);
    for (const share of forwarded.shares) {
      if (!this.#live.deliverShared(message, topicFilterOf(share))) this.metrics.dropped('no_member');
    }
  }
}

export interface LiveMeshOptions {
  /** Of this gateway. */
  nodeId: number;
  transport: Transport;
  live: LiveRouter;
  /** What was retained here may be on its way to the stores still. */
  retainedInFlight: RetainedInFlight;
  flusher: TurnFlusher;
  clock: Clock;
  logger: Logger;
  metrics: LiveMeshMetrics;
  /** Ends our connection of that client if it is the older one; the time of ours when that is the newer one. */
  connectedElsewhere: (elsewhere: ConnectedElsewhere) => number | undefined;
}

export interface ConnectedElsewhere {
  clientId: string;
  /** Empty when nobody was asked. */
  identity: string;
  connectedAtMs: number;
  nodeId: number;
}

/** A SUBACK waits this long for gateways that do not answer. */
export const SEEN_WAIT_MS = 200;
/**
 * Who reads what is retained waits longer, with nothing held back but that: for gateways whose stores are slow to answer,
 * because a partition has to find a leader. One that hangs costs this once, until it answers again.
 */
export const STORED_WAIT_MS = 2_000;
/** How exactly that is watched while somebody waits beyond the first. */
const WATCH_MS = 20;

type ClientConnected = Extract<LiveRequest, { type: 'client-connected' }>;
