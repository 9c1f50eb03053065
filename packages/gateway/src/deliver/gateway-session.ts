import type { QoS } from '@sluice/mqtt/codec/packet';
import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import type { ConnectionState } from '@sluice/mqtt/protocol/connection-state';
import type { DeliverableMessage, PublishedMessage } from '@sluice/mqtt/protocol/deliverable-message';
import type { DeliverySource } from '@sluice/mqtt/protocol/outbound-message';
import { SessionState, type SessionSubscription } from '@sluice/mqtt/protocol/session-state';
import { KEPT_FILTER_BYTES_MAX, KEPT_SUBSCRIPTIONS_MAX } from '@sluice/queue/session/session-limits';
import type { Connection } from '../connection/connection.ts';
import type { GatewayServices } from '../gateway-services.ts';
import type { LiveSubscriber, LiveSubscription } from '../live/live-router.ts';
import type { RouteWaiter } from '../live/route-waiters.ts';
import { type ReplayOwner, RetainedReplay } from '../retained/retained-replay.ts';
import type { StoredSession } from '../session/stored-session.ts';
import type { StoredWill } from '../session/stored-will.ts';
import { QueueConsumerLink } from './queue-consumer-link.ts';
import { recordBytesMaxFor } from './record-bound.ts';

/**
 * A session with its places in the gateway: live routes, queue attachments, running replays of retained messages. All
 * of them refer to the session, not to a connection, so that a client that takes its own session over keeps them.
 */
export class GatewaySession extends SessionState implements LiveSubscriber, RouteWaiter, ReplayOwner {
  readonly #services: GatewayServices;
  /** Made by the first: most sessions have none. */
  #queues: Map<string, QueueConsumerLink> | undefined = undefined;
  /** By filter as subscribed, in their order: there may be thousands, and each may be stopped. Undefined while none runs. */
  #replays: Map<string, RetainedReplay> | undefined;
  /** Of those: what is left of them cannot be read now, and the others go on without them. */
  #stalledReplays: Map<string, RetainedReplay> | undefined;
  /** For some of these other gateways are to be asked yet what they have given to the stores. */
  #hasUnasked = false;
  /** Some gateway has not answered for the first replay that is to begin. */
  #awaitsOthers = false;
  /** The socket is over its bound: queues are asked for nothing until it is empty. */
  slow = false;
  /**
   * What each of its queues may assign to this client: an equal share of its window. With the whole of it each, several
   * queues would assign what cannot be sent, and it would wait here while other workers are idle.
   */
  queueAllowance = 0;
  /** Undefined: it ends with its connection. */
  stored: StoredSession | undefined = undefined;
  /** Of one that ends with its connection: the will is all that is stored of it. */
  storedWill: StoredWill | undefined = undefined;
  /** Connections of its client that have asked the stores, and are to go on with it. */
  successors = 0;
  /** As it was asked for last, with the connection that has it now. */
  storedExpiryS = 0;
  leavesWill = false;

  constructor(clientId: string, identity: string | undefined, services: GatewayServices, connection: ConnectionState) {
    super(clientId, identity, services.limits, connection);
    this.#services = services;
  }

  /** What the stores do not keep is refused here, with a reason: afterwards nothing but the end of the connection is left. */
  override mayHold(text: string): boolean {
    if (!super.mayHold(text)) return false;
    if (this.stored === undefined) return true;
    const filterBytes = this.subscriptionBytes + text.length;
    return this.subscriptions.size < KEPT_SUBSCRIPTIONS_MAX && filterBytes <= KEPT_FILTER_BYTES_MAX;
  }

  nowMs(): number {
    return this.#services.clock.nowMs();
  }

  /** What a message's expiry is compared with. Most have none, and asking the clock costs a tenth of a delivery. */
  nowFor(message: Pick<DeliverableMessage, 'expiresAtMs'>): number {
    return message.expiresAtMs === 0 ? 0 : this.nowMs();
  }

  get queueCount(): number {
    return this.#queues?.size ?? 0;
  }

  /** Everything that was sent. */
  get hasAnswered(): boolean {
    return this.inflight.size === 0 && this.backlog.size === 0;
  }

  // ---- live routes

  get ready(): boolean {
    return !this.ended && this.connection.effects.writable && this.inflight.hasRoom && this.backlog.size === 0;
  }

  receive(message: PublishedMessage, subscription: LiveSubscription): void {
    const qos = Math.min(message.qos, subscription.qos) as QoS;
    // It comes by the stream of this filter, if that begins before it.
    if (this.stored !== undefined && qos > 0 && subscription.group === undefined) return;
    if (message.retain) this.overtaken(subscription.topicFilter, message);
    const source =
      qos > 0 && subscription.group !== undefined
        ? new SharedDelivery(this, message, subscription.topicFilter)
        : undefined;
    this.deliverLive(
      message,
      qos,
      message.retain && subscription.retainAsPublished,
      subscription.identifier ?? 0,
      source,
      this.nowFor(message),
    );
  }

  /** What comes now for this subscription is likely newer than what may be read of its topic. */
  overtaken(topicFilter: string, { topic, publisher }: Pick<PublishedMessage, 'topic' | 'publisher'>): void {
    const replay = this.#replays?.get(topicFilter) ?? this.#stalledReplays?.get(topicFilter);
    replay?.overtaken(topic, publisher);
  }

  /** A message this member did not finish: another member gets it, or nobody. */
  passOn(message: PublishedMessage, topicFilter: string): void {
    if (!this.#services.live.redeliverShared(message, topicFilter, this)) this.#services.metrics.dropped('no_member');
  }

  // ---- subscriptions

  /** A reason code of 0x80 and above refuses. Queues are attached later, in `begin`. */
  route(subscription: SessionSubscription): number {
    const { request, text } = subscription;
    if (request.kind !== 'plain' && request.kind !== 'shared') return ReasonCode.SUCCESS;
    const identifier = subscription.subscriptionIdentifier === 0 ? undefined : subscription.subscriptionIdentifier;
    const outcome = this.#services.live.subscribe(this, {
      topicFilter: text,
      filter: request.filter,
      group: request.kind === 'shared' ? request.group : undefined,
      qos: subscription.qos,
      noLocal: subscription.noLocal,
      retainAsPublished: subscription.retainAsPublished,
      retainHandling: 0,
      identifier,
    });
    if (outcome === 'refused') return ReasonCode.QUOTA_EXCEEDED;
    if (outcome === 'added') this.#services.metrics.subscriptionGauge(request.kind).add(1);
    return ReasonCode.SUCCESS;
  }

  begin(subscription: SessionSubscription, retained: boolean): void {
    const { request, text } = subscription;
    if (request.kind === 'queue-by-filter' || request.kind === 'queue-by-name') {
      // Subscribed again: the link reads its options from the subscription.
      if (this.#queues?.has(text) === true) return;
      this.#services.metrics.subscriptionGauge('queue').add(1);
      this.#shareWindow(this.queueCount + 1);
      this.#queues ??= new Map();
      this.#queues.set(text, new QueueConsumerLink(this, subscription, this.#services.queues));
      return;
    }
    if (!retained) return;
    const { system } = this.#services;
    if (system.covers(request.filter)) {
      const { subscriptionIdentifier } = subscription;
      const nowMs = this.nowMs();
      for (const message of system.found(request.filter, nowMs)) {
        this.deliverLive(message, message.qos, true, subscriptionIdentifier, undefined, nowMs);
      }
      return;
    }
    this.#stopReplay(text);
    this.#replays ??= new Map();
    const replay = new RetainedReplay(text, this);
    this.#replays.set(text, replay);
    // Together with its route, where that is new. What streams bring begins when they know of it, which SUBACK waits for.
    if (this.stored === undefined) replay.askedVersion = this.#services.mesh.askForRetained();
    else this.#hasUnasked = true;
  }

  unroute(subscription: SessionSubscription): void {
    const { request, text } = subscription;
    if (request.kind === 'plain' || request.kind === 'shared') {
      if (this.#services.live.unsubscribe(this, text)) this.#services.metrics.subscriptionGauge(request.kind).add(-1);
      this.#stopReplay(text);
      return;
    }
    const link = this.#queues?.get(text);
    if (link === undefined) return;
    this.#queues?.delete(text);
    this.#services.metrics.subscriptionGauge('queue').add(-1);
    link.detach();
    this.#shareWindow(this.queueCount);
  }

  /** Nothing comes to it from here on, and what its queues have given it is theirs again. */
  leave(): void {
    const { live, leftRoutes, metrics } = this.#services;
    const { ordinary, shared } = live.leave(this);
    if (ordinary > 0) metrics.subscriptionGauge('plain').add(-ordinary);
    if (shared > 0) metrics.subscriptionGauge('shared').add(-shared);
    leftRoutes.begin();
    for (const link of this.#queues?.values() ?? []) link.detach();
    if (this.#queues !== undefined) metrics.subscriptionGauge('queue').add(-this.#queues.size);
    this.#queues = undefined;
    for (const replay of this.#replays?.values() ?? []) replay.close();
    this.#replays = undefined;
    for (const replay of this.#stalledReplays?.values() ?? []) replay.close();
    this.#stalledReplays = undefined;
  }

  /** What its client is promised cannot be kept: it comes again. */
  cut(): void {
    (this.connection.effects as Connection).channel.destroy();
  }

  mayConsume(topicFilter: string): boolean {
    return (this.connection.effects as Connection).access.mayConsume(topicFilter);
  }

  /** Queues it may not consume from any more give it nothing more, and those it may now begin. */
  lookAtQueues(): void {
    for (const link of this.#queues?.values() ?? []) link.lookAgain();
  }

  /** The largest record that can be a packet for its client; 0: any. */
  get recordBytesMax(): number {
    return recordBytesMaxFor(this.connection.clientMaximumPacketSizeBytes);
  }

  /** Its connection is another one. */
  sizeChanged(): void {
    for (const link of this.#queues?.values() ?? []) link.sizeChanged();
  }

  // ---- pace

  /** The connection's socket went over its bound, or was emptied, or the client's window is another one now. */
  paceQueues(slow: boolean): void {
    this.slow = slow;
    this.#shareWindow(this.queueCount);
  }

  #shareWindow(queues: number): void {
    this.queueAllowance = this.slow ? 0 : Math.max(1, Math.floor(this.queueWindow / Math.max(1, queues)));
    for (const link of this.#queues?.values() ?? []) link.setWindow(this.queueAllowance);
  }

  get replaying(): boolean {
    return this.#replays !== undefined;
  }

  /**
   * Sends retained messages while there is room, a portion at most. True when another turn would send more; when a page is
   * waited for, it asks for the turn. To be called when other gateways act on the subscription, not before.
   */
  replay(nowMs: number): boolean {
    this.#beginReplays();
    for (let i = 0; i < REPLAY_PORTION && this.#replays !== undefined; i++) {
      const [first] = this.#replays;
      if (first === undefined || !this.ready) return false;
      const [text, replay] = first;
      const subscription = this.subscriptions.get(text);
      // One at a time: each may be the one that fills the socket.
      const message = replay.first(nowMs);
      if (message === undefined || subscription === undefined) {
        if (subscription !== undefined && !replay.isDone) return false;
        if (subscription === undefined || !this.#looksAgain(replay)) this.#stopReplay(text);
        this.#beginReplays();
        continue;
      }
      const qos = Math.min(message.qos, subscription.qos) as QoS;
      // It waits for acknowledgements; what is published live would be dropped.
      if (qos > 0 && !this.mayHoldLive(message)) return false;
      replay.taken();
      // [MQTT-3.8.3-3]
      if (subscription.noLocal && message.publisher === this.clientId) continue;
      this.deliverLive(message, qos, true, subscription.subscriptionIdentifier, undefined, nowMs);
    }
    return this.#replays !== undefined;
  }

  /** Not before what was retained through any gateway, when the subscription came, is in the stores. */
  #beginReplays(): void {
    if (this.#replays === undefined) return;
    this.#askOthers();
    const { mesh, retained, retainedInFlight } = this.#services;
    let running = 0;
    for (const replay of this.#replays.values()) {
      if (++running > REPLAYS_AT_ONCE) return;
      if (replay.hasBegun) continue;
      replay.open(retained);
      // Those behind one that waits asked later.
      this.#awaitsOthers ||= mesh.waitForRetained(this, replay.askedVersion);
      if (this.#awaitsOthers) continue;
      replay.hasBegun = true;
      retainedInFlight.afterThose(() => replay.begin());
    }
  }

  /** What came live through this gateway alone is in the order in which it is stored. */
  #looksAgain(replay: RetainedReplay): boolean {
    const version = replay.isInDoubt ? this.#services.mesh.askForRetained() : 0;
    if (version > 0) replay.lookAgain(version);
    return version > 0;
  }

  pageCame(): void {
    this.#requestTurn();
  }

  /** Those behind it come before it. */
  stalled(replay: RetainedReplay): void {
    this.#replays?.delete(replay.filter);
    if (this.#replays?.size === 0) this.#replays = undefined;
    this.#stalledReplays ??= new Map();
    this.#stalledReplays.set(replay.filter, replay);
    this.#requestTurn();
  }

  /** What could not be read could not be stored either: whatever was retained through other gateways comes first. */
  again(replay: RetainedReplay): void {
    this.#stalledReplays?.delete(replay.filter);
    if (this.#stalledReplays?.size === 0) this.#stalledReplays = undefined;
    replay.askedVersion = this.#services.mesh.askAgainForRetained();
    this.#replays ??= new Map();
    this.#replays.set(replay.filter, replay);
    this.#requestTurn();
  }

  #askOthers(): void {
    if (!this.#hasUnasked || this.#replays === undefined) return;
    this.#hasUnasked = false;
    const version = this.#services.mesh.askForRetained();
    for (const replay of this.#replays.values()) if (replay.askedVersion === 0) replay.askedVersion = version;
  }

  /** Other gateways have answered, or were waited for long enough. */
  routesSeen(): void {
    this.#awaitsOthers = false;
    this.#requestTurn();
  }

  #requestTurn(): void {
    if (!this.ended) this.#services.flusher.request(this.connection.effects as Connection);
  }

  #stopReplay(text: string): void {
    if (this.#stalledReplays !== undefined) {
      this.#stalledReplays.get(text)?.close();
      if (this.#stalledReplays.delete(text) && this.#stalledReplays.size === 0) this.#stalledReplays = undefined;
    }
    const replays = this.#replays;
    if (replays === undefined) return;
    replays.get(text)?.close();
    if (replays.delete(text) && replays.size === 0) this.#replays = undefined;
  }
}

/** Retained messages sent in one turn of one connection. */
const REPLAY_PORTION = 64;
/** Subscriptions of one session whose retained messages are read ahead, a page each. */
const REPLAYS_AT_ONCE = 8;

/** A `$share` message in the hands of one member; a refusal ends it [MQTT-4.8.2-6]. */
class SharedDelivery implements DeliverySource {
  readonly withdrawn = false;
  readonly #member: GatewaySession;
  readonly #message: PublishedMessage;
  readonly #topicFilter: string;

  constructor(member: GatewaySession, message: PublishedMessage, topicFilter: string) {
    this.#member = member;
    this.#message = message;
    this.#topicFilter = topicFilter;
  }

  accepted(): void {}
  rejected(): void {}
  returned(): void {
    this.#member.passOn(this.#message, this.#topicFilter);
  }
}
