import type { QoS } from '@sluice/mqtt/codec/packet';
import { type OutboundMessage, OutboundPhase } from '@sluice/mqtt/protocol/outbound-message';
import type { SessionSubscription } from '@sluice/mqtt/protocol/session-state';
import { EncodedRecord } from '@sluice/queue/record/record-view';
import { Cursor } from '@sluice/queue/session/cursor';
import { DELIVERY_IDS, deliveryPacketId } from '@sluice/queue/session/delivery-packet-id';
import type { StoredFilter, StoredSubscriptionView, StreamDelivery } from '@sluice/rpc/contract/sessions';
import type { SessionKey, SessionSink } from '@sluice/store-client/session/attached-sessions';
import type { SessionClient } from '@sluice/store-client/session/session-client';
import type { SessionAnswer } from '@sluice/store-client/session/session-questions';
import type { GatewaySession } from '../deliver/gateway-session.ts';
import type { PublishIngress } from '../publish/publish-ingress.ts';
import { StoredExchanges } from './stored-exchanges.ts';
import { StreamMessage, type StreamMessageOwner, StreamSource } from './stream-message.ts';
import { SubscriptionLine } from './subscription-line.ts';

/**
 * The stored side of a session that is connected here: what its client subscribes to is kept, and what its streams hold
 * is brought to it. At QoS 0 nothing is kept; such messages reach it live, while it is connected, and so do those that
 * were published at QoS 0 whatever was asked for. So nothing comes both ways.
 *
 * A new leader of its partition knows only what was committed, and brings the rest once more. What the client holds, or
 * has taken since it came here, is not sent to it again. What an earlier gateway sent it, and it did not answer, is sent
 * again under the packet id it had then, as it comes from its stream. At QoS 1 that is the one it is destined for by its
 * place there, unless the log says otherwise; so a gateway that dies need not have written anything down.
 */
export class StoredSession implements SessionSink, StreamMessageOwner {
  readonly key: SessionKey;
  readonly exchanges: StoredExchanges;
  readonly #session: GatewaySession;
  readonly #client: SessionClient;
  readonly #byStream = new Map<number, StreamPlace>();
  #isClosed = false;
  readonly #line = new SubscriptionLine({
    subscribe: (filters) => this.#subscribe(filters),
    unsubscribe: (texts) => this.#unsubscribe(texts),
  });
  /** Subscriptions are not answered yet; and what came of their streams all the same. */
  #isSubscribing = false;
  readonly #early: StreamDelivery[] = [];
  /** By stream and offset: sent by an earlier gateway, not come from the stream yet. As many as packet ids at most. */
  readonly #absent = new Map<number, Map<number, OutboundMessage>>();
  /** By stream: what lies before this offset an earlier gateway may have sent, the next `#unsureLeft` of all of them. */
  readonly #unsure = new Map<number, number>();
  #unsureLeft = 0;

  /** Unacknowledged deliveries of streams at most, if the client's Receive Maximum allows more. */
  static readonly WINDOW_MAX = 256;
  /** A store that does not answer for so long: the client comes again. */
  static readonly PATIENCE_MS = 10_000;
  /**
   * A gateway that left no word has sent no more than this that is still there: a full window, and as much again that was
   * acknowledged and had not reached the log.
   */
  static readonly UNSURE_MAX = 512;

  constructor(session: GatewaySession, client: SessionClient, key: SessionKey, ingress: PublishIngress) {
    this.#session = session;
    this.#client = client;
    this.key = key;
    // Of what is not in any stream a dead gateway's ids are not known: each connection begins elsewhere.
    session.inflight.leaveOut(DELIVERY_IDS + 1, DELIVERY_IDS + 1 + ((key.epoch * IDS_APART) % (65_535 - DELIVERY_IDS)));
    this.exchanges = new StoredExchanges(session, client, key, ingress);
  }

  /** Deliveries begin. */
  begin({ subscriptions, taken, bound, refused, unsure }: SessionAnswer): void {
    for (const view of subscriptions) this.#adopt(view);
    this.exchanges.resume(taken, refused);
    for (const id of bound) this.#resume(id);
    for (const { streamId, before } of unsure) this.#unsure.set(streamId, before);
    this.#unsureLeft = StoredSession.UNSURE_MAX;
    this.#client.attach(this.key, Math.min(this.#session.queueWindow, StoredSession.WINDOW_MAX), this);
  }

  /** True when all of them are kept; false: the client must not be told so. */
  subscribe(subscriptions: readonly SessionSubscription[]): Promise<boolean> {
    return this.#line.subscribe(subscriptions.map(storedFilter));
  }

  /** Undefined: it has none of them, and none is on its way. */
  unsubscribe(texts: readonly string[]): Promise<boolean> | undefined {
    return this.#line.unsubscribe(texts);
  }

  async #subscribe(filters: readonly StoredFilter[]): Promise<boolean> {
    this.#isSubscribing = true;
    const answer = await this.#client.subscribe(this.key, filters, StoredSession.PATIENCE_MS);
    this.#isSubscribing = false;
    if (this.#isClosed) return false;
    this.#leaveFormer(answer.subscriptions);
    for (const view of answer.subscriptions) this.#adopt(view);
    this.delivered(this.#early.splice(0));
    return this.#isKept(answer.status === 'done' && answer.subscriptions.every(({ streamId }) => streamId !== -1));
  }

  async #unsubscribe(texts: readonly string[]): Promise<boolean> {
    const gone = new Set(texts);
    for (const [streamId, { filter }] of this.#byStream) {
      if (gone.has(filter)) this.#leave(streamId);
    }
    const { status } = await this.#client.unsubscribe(this.key, texts, StoredSession.PATIENCE_MS);
    return this.#isKept(status === 'done');
  }

  /** A filter has no stream any more when it is subscribed to at QoS 0, and another one than before when it was. */
  #leaveFormer(views: readonly StoredSubscriptionView[]): void {
    const streamOf = new Map(views.map(({ filter, streamId }) => [filter, streamId]));
    for (const [streamId, { filter }] of this.#byStream) {
      const now = streamOf.get(filter) ?? -1;
      if (now !== -1 && now !== streamId) this.#leave(streamId);
    }
  }

  #leave(streamId: number): void {
    this.#byStream.delete(streamId);
    this.#unsure.delete(streamId);
    this.#vanished(streamId, Number.POSITIVE_INFINITY);
  }

  /** Over whatever connection it was asked, the one that has the session now must not go on with something else. */
  #isKept(isKept: boolean): boolean {
    if (!isKept && !this.#isClosed) this.#session.cut();
    return isKept;
  }

  /** The connection is over; from now on the session waits for so long. */
  close(expiryS: number, takesWillBack: boolean): void {
    if (this.#isClosed) return;
    this.#line.close();
    this.#isClosed = true;
    const left = this.exchanges.close(expiryS > 0);
    const isUnsure = this.#unsure.size > 0 || this.#session.holdsUnsure;
    const end = (isLeft: boolean): void => {
      const leavesUnsure = expiryS > 0 && (isUnsure || !isLeft);
      void this.#client.close(this.key, expiryS, takesWillBack, leavesUnsure, StoredSession.PATIENCE_MS);
    };
    if (left === undefined || expiryS === 0) {
      end(true);
      return;
    }
    this.#client.detach(this.key.clientId, this.key.epoch);
    void left.then(end);
  }

  delivered(deliveries: readonly StreamDelivery[]): void {
    for (const delivery of deliveries) {
      const { streamId, offset, record } = delivery;
      // Its window bounds how many.
      if (this.#isSubscribing && !this.#byStream.has(streamId)) this.#early.push(delivery);
      else this.#deliver(streamId, offset, new EncodedRecord(record));
    }
  }

  lost(): void {
    this.#isClosed = true;
    this.exchanges.lost();
    this.#session.connection.takenOver(false);
  }

  done({ streamId, offset, isPassed }: Pick<StreamSource, 'streamId' | 'offset' | 'isPassed'>): void {
    const place = this.#byStream.get(streamId);
    if (place === undefined) return;
    place.held.delete(offset);
    place.passed ??= new Cursor(0);
    place.passed.pass(offset, offset + 1);
    if (!isPassed) this.#client.pass(this.key, streamId, offset);
  }

  #resume({ packetId, state, streamId, offset }: SessionAnswer['bound'][number]): void {
    // Under way on this very connection.
    if (this.#session.inflight.get(packetId) !== undefined) return;
    const isReceived = state === 'received';
    const source = isReceived || streamId === 0 ? undefined : new StreamSource(this, streamId, offset);
    const outbound = this.#session.adopt(packetId, state === 'sent-qos1' ? 1 : 2, isReceived, source);
    const place = this.#byStream.get(streamId);
    if (isReceived) return;
    if (place === undefined) {
      this.#session.vanished(outbound);
      return;
    }
    place.held.add(offset);
    const absent = this.#absent.get(streamId);
    if (absent === undefined) this.#absent.set(streamId, new Map([[offset, outbound]]));
    else absent.set(offset, outbound);
  }

  /** A stream comes in its order: what it did not bring before this offset it has no more. */
  #vanished(streamId: number, before: number): void {
    const absent = this.#absent.get(streamId);
    if (absent === undefined) return;
    for (const [offset, outbound] of absent) {
      if (offset >= before) continue;
      absent.delete(offset);
      this.#session.vanished(outbound);
    }
    if (absent.size === 0) this.#absent.delete(streamId);
  }

  /** Whether an earlier gateway may have sent it. A stream comes in its order. */
  #takeUnsure(streamId: number, offset: number): boolean {
    if (this.#unsure.size === 0) return false;
    const before = this.#unsure.get(streamId) ?? 0;
    if (offset + 1 >= before) this.#unsure.delete(streamId);
    if (offset >= before) return false;
    if (--this.#unsureLeft === 0) this.#unsure.clear();
    return true;
  }

  #takeAbsent(streamId: number, offset: number): OutboundMessage | undefined {
    if (this.#absent.size === 0) return undefined;
    this.#vanished(streamId, offset);
    const absent = this.#absent.get(streamId);
    const outbound = absent?.get(offset);
    if (absent?.delete(offset) === true && absent.size === 0) this.#absent.delete(streamId);
    return outbound;
  }

  #adopt({ streamId, filter }: StoredSubscriptionView): void {
    if (streamId > 0 && !this.#byStream.has(streamId)) {
      this.#byStream.set(streamId, { filter, held: new Set(), passed: undefined });
    }
  }

  #deliver(streamId: number, offset: number, record: EncodedRecord): void {
    const place = this.#byStream.get(streamId);
    const subscription = place === undefined ? undefined : this.#session.subscriptions.get(place.filter);
    if (place === undefined || subscription === undefined) {
      this.#client.pass(this.key, streamId, offset);
      return;
    }
    // In the order of the stream: what lies before the first one was passed before this connection.
    place.passed ??= new Cursor(offset);
    const absent = this.#takeAbsent(streamId, offset);
    if (absent === undefined && place.held.has(offset)) return;
    const isUnsure = this.#takeUnsure(streamId, offset);
    if (absent !== undefined) {
      if (absent.phase === OutboundPhase.ABSENT) this.#sendAgain(absent, subscription, streamId, offset, record);
      return;
    }
    const isOwn = subscription.noLocal && record.publisher === this.key.clientId;
    const qos = Math.min(record.qos, subscription.qos) as QoS;
    if (isOwn || qos === 0 || place.passed.isPassed(offset)) {
      this.done({ streamId, offset, isPassed: false });
      return;
    }
    if (record.retain) this.#session.overtaken(place.filter, record);
    place.held.add(offset);
    const message = new StreamMessage(this, streamId, offset, record);
    const retain = record.retain && subscription.retainAsPublished;
    // At QoS 2 it is kept with the session before it is sent.
    const destinedId = qos === 1 ? deliveryPacketId(streamId, offset) : 0;
    this.#session.deliverStored(
      message,
      qos,
      retain,
      subscription.subscriptionIdentifier,
      message,
      destinedId,
      isUnsure && qos === 1,
      this.#session.nowMs(),
    );
  }

  /** As it was: the client tells an exchange by its packet id, whatever it subscribed to since. */
  #sendAgain(
    { packetId, qos }: OutboundMessage,
    { retainAsPublished, subscriptionIdentifier }: SessionSubscription,
    streamId: number,
    offset: number,
    record: EncodedRecord,
  ): void {
    const message = new StreamMessage(this, streamId, offset, record);
    const retain = record.retain && retainAsPublished;
    const nowMs = this.#session.nowMs();
    this.#session.deliverAgain(message, qos, retain, subscriptionIdentifier, message, packetId, nowMs);
  }
}

interface StreamPlace {
  readonly filter: string;
  /** With the client, unanswered. */
  readonly held: Set<number>;
  /** Since this connection; undefined before the first delivery. */
  passed: Cursor | undefined;
}

/** Of the first ids of two connections of a session, when one follows the other. */
const IDS_APART = 1_021;

const NO_LOCAL = 4;
const RETAIN_AS_PUBLISHED = 8;

function storedFilter({
  text,
  request,
  qos,
  noLocal,
  retainAsPublished,
  subscriptionIdentifier,
}: SessionSubscription): StoredFilter {
  const options = qos | (noLocal ? NO_LOCAL : 0) | (retainAsPublished ? RETAIN_AS_PUBLISHED : 0);
  const isStored = request.kind === 'plain' && qos > 0;
  return { filter: text, options, subscriptionId: subscriptionIdentifier, isStored };
}

/** The subscription as it was asked for. */
export function optionsOf(options: number): { qos: QoS; noLocal: boolean; retainAsPublished: boolean } {
  const qos = options & 3;
  return {
    qos: qos === 2 ? 2 : qos === 1 ? 1 : 0,
    noLocal: (options & NO_LOCAL) !== 0,
    retainAsPublished: (options & RETAIN_AS_PUBLISHED) !== 0,
  };
}
