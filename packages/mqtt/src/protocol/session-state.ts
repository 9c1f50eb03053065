import type { QoS } from '../codec/packet.ts';
import type { TopicFilterRequest } from '../topic/topic-filter.ts';
import { levelsOf } from '../topic/topic-name.ts';
import type { ConnectionState } from './connection-state.ts';
import { type DeliverableMessage, NO_MESSAGE } from './deliverable-message.ts';
import type { ProtocolLimits } from './effects.ts';
import { sendRelease } from './handle-ack.ts';
import { InflightWindow } from './inflight-window.ts';
import type { KeptExchanges } from './kept-exchanges.ts';
import { OutboundBacklog } from './outbound-backlog.ts';
import { type DeliverySource, OutboundMessage, OutboundPhase } from './outbound-message.ts';
import { pumpBacklog, sendAtMostOnce, sendOrWait, transmit } from './outbound-publish.ts';
import { Qos2Dedup } from './qos2-dedup.ts';

/**
 * What a client keeps when its connection is replaced: subscriptions, unfinished exchanges in both directions and what
 * waits for it. A session has exactly one connection, and ends with it, unless another connection of the same client
 * takes it over first (Clean Start 0 while the old one is still open); the host then moves it with `moveTo`.
 *
 * Routes and queue attachments point at the session and survive the move.
 */
export class SessionState {
  readonly clientId: string;
  /** Who authenticated; only the same identity may take the session over. */
  readonly identity: string | undefined;
  readonly limits: ProtocolLimits;
  /** Made by the first: what only publishes has none. */
  #subscriptions: Map<string, SessionSubscription> | undefined = undefined;
  readonly inflight: InflightWindow;
  readonly backlog = new OutboundBacklog();
  /** Made by the first publish at QoS 2. */
  #received: Qos2Dedup | undefined = undefined;
  /** Length of all filters, and their levels. */
  subscriptionBytes = 0;
  subscriptionLevels = 0;
  /** Bytes of live QoS 1 and 2 messages, waiting or unacknowledged. */
  liveBytes = 0;
  ended = false;
  connection: ConnectionState;
  /** Undefined: what its packet ids mean ends with it. */
  exchanges: KeptExchanges | undefined = undefined;
  /** A message at QoS 1 waits for its packet id to be kept: the others wait behind it, in their order [MQTT-4.6.0-5]. */
  isBindingAtLeastOnce = false;

  constructor(clientId: string, identity: string | undefined, limits: ProtocolLimits, connection: ConnectionState) {
    this.clientId = clientId;
    this.identity = identity;
    this.limits = limits;
    this.connection = connection;
    this.inflight = new InflightWindow(connection.sendWindow);
  }

  /** By the text of the filter, as the client wrote it. */
  get subscriptions(): ReadonlyMap<string, SessionSubscription> {
    return this.#subscriptions ?? NO_SUBSCRIPTIONS;
  }

  get received(): Qos2Dedup {
    this.#received ??= new Qos2Dedup();
    return this.#received;
  }

  /** False when this session may not hold another filter of this length and depth. */
  mayHold(text: string): boolean {
    const { subscriptionsMax, subscriptionBytesMax, subscriptionLevelsMax } = this.limits;
    return (
      this.subscriptions.size < subscriptionsMax &&
      this.subscriptionBytes + text.length <= subscriptionBytesMax &&
      this.subscriptionLevels + levelsOf(text) <= subscriptionLevelsMax
    );
  }
  hold(subscription: SessionSubscription): void {
    this.#subscriptions ??= new Map();
    this.#subscriptions.set(subscription.text, subscription);
    this.subscriptionBytes += subscription.text.length;
    this.subscriptionLevels += levelsOf(subscription.text);
  }
  release(subscription: SessionSubscription): void {
    if (this.#subscriptions?.delete(subscription.text) !== true) return;
    this.subscriptionBytes -= subscription.text.length;
    this.subscriptionLevels -= levelsOf(subscription.text);
  }

  /** Whether a live message is held beside those that wait or are unacknowledged; one always is. */
  mayHoldLive({ heldBytes }: DeliverableMessage): boolean {
    return this.liveBytes === 0 || this.liveBytes + heldBytes <= this.limits.liveQueueBytesMax;
  }

  /** Most queue deliveries this client can hold: what a queue attachment is told as its window. */
  get queueWindow(): number {
    return this.inflight.capacity;
  }

  /**
   * A live or retained message. `qos` is the granted one already lowered to the publisher's.
   * At QoS 0 it goes out in this turn or never, and `source` is not told.
   */
  deliverLive(
    message: DeliverableMessage,
    qos: QoS,
    retain: boolean,
    subscriptionIdentifier: number,
    source: DeliverySource | undefined,
    nowMs: number,
  ): void {
    if (this.ended) {
      source?.returned();
      return;
    }
    if (qos === 0) sendAtMostOnce(this, message, retain, subscriptionIdentifier, nowMs);
    else sendOrWait(this, new OutboundMessage(message, qos, retain, subscriptionIdentifier, source, true), nowMs);
  }

  /** A queue's delivery. At QoS 0 its source is told `accepted` once it was handed to the socket. */
  deliverFromQueue(
    message: DeliverableMessage,
    qos: 0 | 1,
    subscriptionIdentifier: number,
    source: DeliverySource,
    nowMs: number,
  ): void {
    if (this.ended) return; // its attachment is detached: everything goes back by that
    sendOrWait(this, new OutboundMessage(message, qos, false, subscriptionIdentifier, source, false), nowMs);
  }

  /**
   * A message that is stored for this session, and bounded by its window there. `destinedId`: the packet id under which
   * whoever has the session next would send it again; 0: it is kept with the message before that is sent. `isUnsure`: it
   * may have been sent so already, on an earlier connection elsewhere.
   */
  deliverStored(
    message: DeliverableMessage,
    qos: QoS,
    retain: boolean,
    subscriptionIdentifier: number,
    source: DeliverySource,
    destinedId: number,
    isUnsure: boolean,
    nowMs: number,
  ): void {
    if (this.ended) return; // the store brings it to the next connection
    const outbound = new OutboundMessage(message, qos, retain, subscriptionIdentifier, source, false);
    outbound.destinedId = destinedId;
    outbound.isUnsure = isUnsure;
    sendOrWait(this, outbound, nowMs);
  }

  /** Likewise; it was sent on an earlier connection elsewhere, under this id. */
  deliverAgain(
    message: DeliverableMessage,
    qos: QoS,
    retain: boolean,
    subscriptionIdentifier: number,
    source: DeliverySource,
    packetId: number,
    nowMs: number,
  ): void {
    if (this.ended) return;
    const outbound = new OutboundMessage(message, qos, retain, subscriptionIdentifier, source, false);
    outbound.packetId = packetId;
    outbound.isBound = true;
    this.inflight.fill(outbound);
    sendOrWait(this, outbound, nowMs);
  }

  /** An exchange that began on an earlier connection, elsewhere. Its message comes, or it goes on without. */
  adopt(packetId: number, qos: 1 | 2, isReceived: boolean, source: DeliverySource | undefined): OutboundMessage {
    const outbound = new OutboundMessage(NO_MESSAGE, qos, false, 0, source, false);
    outbound.packetId = packetId;
    outbound.isBound = true;
    outbound.phase = isReceived ? OutboundPhase.AWAITING_PUBCOMP : OutboundPhase.ABSENT;
    this.inflight.adopt(outbound);
    return outbound;
  }

  /** Its packet id is kept: it may be sent. */
  bound(outbound: OutboundMessage, nowMs: number): void {
    if (this.ended) return;
    const isBinding = outbound.phase === OutboundPhase.BINDING;
    if (outbound.qos === 2) {
      if (!isBinding) return;
      outbound.phase = OutboundPhase.AWAITING_PUBREC;
      transmit(this, outbound, false, nowMs);
      return;
    }
    this.isBindingAtLeastOnce = false;
    if (isBinding) {
      outbound.phase = OutboundPhase.AWAITING_PUBACK;
      transmit(this, outbound, outbound.isUnsure, nowMs);
    }
    pumpBacklog(this, nowMs);
  }

  /** It is kept that the client has it. */
  receiptKept(outbound: OutboundMessage): void {
    if (this.ended || outbound.phase !== OutboundPhase.RECEIVING) return;
    outbound.phase = OutboundPhase.AWAITING_PUBCOMP;
    sendRelease(this.connection, outbound);
  }

  /**
   * The message of an adopted exchange is gone. Whether the client has it nobody knows: one that has it waits for PUBREL,
   * and would take the next message under this id for the same one.
   */
  vanished(outbound: OutboundMessage): void {
    if (this.ended || outbound.phase !== OutboundPhase.ABSENT) return;
    if (outbound.qos === 1 || this.exchanges === undefined) {
      this.inflight.close(outbound);
      this.exchanges?.finish(outbound, false);
      return;
    }
    this.inflight.reclaim(outbound);
    outbound.phase = OutboundPhase.RECEIVING;
    this.exchanges.receive(outbound);
  }

  /** Something waits that may have been sent on an earlier connection elsewhere, and was not on this one. */
  get holdsUnsure(): boolean {
    for (const { isUnsure, packetId } of this.backlog.messages()) if (isUnsure && packetId === 0) return true;
    for (const { isUnsure, phase } of this.inflight.messages()) {
      if (isUnsure && phase === OutboundPhase.BINDING) return true;
    }
    return false;
  }

  /** Sends what waits, as far as window and socket allow. */
  pump(nowMs: number): void {
    if (!this.ended) pumpBacklog(this, nowMs);
  }

  /** The client goes on over `connection`; everything unfinished is sent again there [MQTT-4.4.0-1]. */
  moveTo(connection: ConnectionState): void {
    this.connection = connection;
    this.inflight.rewind(connection.sendWindow);
    const waiting = this.backlog.takeAll();
    for (const outbound of this.inflight.messages()) {
      if (outbound.phase === OutboundPhase.WAITING) this.backlog.push(outbound);
    }
    for (const outbound of waiting) {
      if (outbound.packetId === 0 && outbound.phase === OutboundPhase.WAITING) this.backlog.push(outbound);
    }
  }

  /**
   * The end: what nobody has acknowledged goes back to where it came from. The host has taken the session out of its
   * routes before, so that nothing comes back here. A QoS 2 message that was sent is not returned, whether or not the
   * client has said that it has it: nobody else may get it [MQTT-4.8.2-5].
   */
  end(): void {
    if (this.ended) return;
    this.ended = true;
    for (const outbound of this.inflight.messages()) {
      if (outbound.phase === OutboundPhase.AWAITING_PUBCOMP) outbound.source?.accepted();
      else if (outbound.qos === 2 && outbound.phase !== OutboundPhase.BINDING) outbound.source?.rejected();
      else outbound.source?.returned();
    }
    for (const outbound of this.backlog.takeAll()) {
      if (outbound.phase === OutboundPhase.WAITING && outbound.packetId === 0) outbound.source?.returned();
    }
    this.#subscriptions?.clear();
  }
}

const NO_SUBSCRIPTIONS: ReadonlyMap<string, SessionSubscription> = new Map();

export interface SessionSubscription {
  /** As the client wrote it. */
  readonly text: string;
  readonly request: Exclude<TopicFilterRequest, { kind: 'invalid' }>;
  qos: QoS;
  noLocal: boolean;
  retainAsPublished: boolean;
  /** 0 for none. */
  subscriptionIdentifier: number;
  /** Its connection was replaced before the SUBACK: to whoever asks again over the next one, it is new. */
  isUnanswered: boolean;
  /** The host's own: its route or attachment. */
  handle: unknown;
}
