import type { QoS } from '@sluice/mqtt/codec/packet';
import type { SessionSubscription } from '@sluice/mqtt/protocol/session-state';
import { EncodedRecord } from '@sluice/queue/record/record-view';
import { Cursor } from '@sluice/queue/session/cursor';
import type { StoredFilter, StoredSubscriptionView, StreamDelivery } from '@sluice/rpc/contract/sessions';
import type { SessionClient, SessionKey, SessionSink } from '@sluice/store-client/session-client';
import type { GatewaySession } from '../deliver/gateway-session.ts';
import { StreamMessage, type StreamMessageOwner } from './stream-message.ts';

/**
 * The stored side of a session that is connected here: what its client subscribes to is kept, and what its streams hold
 * is brought to it. At QoS 0 nothing is kept; such messages reach it live, while it is connected, and so do those that
 * were published at QoS 0 whatever was asked for. So nothing comes both ways.
 *
 * A new leader of its partition knows only what was committed, and brings the rest once more. What the client holds, or
 * has taken since it came here, is not sent to it again.
 */
export class StoredSession implements SessionSink, StreamMessageOwner {
  readonly key: SessionKey;
  readonly #session: GatewaySession;
  readonly #client: SessionClient;
  readonly #byStream = new Map<number, StreamPlace>();
  #isClosed = false;
  /** Subscriptions that are not answered yet, and what came of their streams all the same. */
  #subscribing = 0;
  readonly #early: StreamDelivery[] = [];

  /** Unacknowledged deliveries of streams at most, if the client's Receive Maximum allows more. */
  static readonly WINDOW_MAX = 256;
  /** A store that does not answer for so long: the client comes again. */
  static readonly PATIENCE_MS = 10_000;

  constructor(session: GatewaySession, client: SessionClient, key: SessionKey) {
    this.#session = session;
    this.#client = client;
    this.key = key;
  }

  /** Deliveries begin. */
  begin(subscriptions: readonly StoredSubscriptionView[]): void {
    for (const view of subscriptions) this.#adopt(view);
    this.#client.attach(this.key, Math.min(this.#session.queueWindow, StoredSession.WINDOW_MAX), this);
  }

  /** True when all of them are kept; false: the client must not be told so. */
  async subscribe(subscriptions: readonly SessionSubscription[]): Promise<boolean> {
    const filters = subscriptions.map(storedFilter);
    this.#subscribing++;
    const answer = await this.#client.subscribe(this.key, filters, StoredSession.PATIENCE_MS);
    this.#subscribing--;
    if (this.#isClosed || answer.status !== 'done') return false;
    for (const view of answer.subscriptions) this.#adopt(view);
    const early = this.#early.splice(0);
    this.delivered(early);
    return answer.subscriptions.every(({ streamId }) => streamId !== -1);
  }

  async unsubscribe(texts: readonly string[]): Promise<boolean> {
    for (const [streamId, { filter }] of this.#byStream) if (texts.includes(filter)) this.#byStream.delete(streamId);
    const answer = await this.#client.unsubscribe(this.key, texts, StoredSession.PATIENCE_MS);
    return answer.status === 'done';
  }

  /** The connection is over; from now on the session waits for so long. */
  close(expiryS: number, takesWillBack: boolean): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    void this.#client.close(this.key, expiryS, takesWillBack, StoredSession.PATIENCE_MS);
  }

  delivered(deliveries: readonly StreamDelivery[]): void {
    for (const delivery of deliveries) {
      const { streamId, offset, record } = delivery;
      // Its window bounds how many.
      if (this.#subscribing > 0 && !this.#byStream.has(streamId)) this.#early.push(delivery);
      else this.#deliver(streamId, offset, new EncodedRecord(record));
    }
  }

  lost(): void {
    this.#isClosed = true;
    this.#session.connection.takenOver(false);
  }

  done(streamId: number, offset: number): void {
    const place = this.#byStream.get(streamId);
    if (place === undefined) return;
    place.held.delete(offset);
    place.passed?.pass(offset, offset + 1);
    this.#client.pass(this.key, streamId, offset);
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
    if (place.held.has(offset)) return;
    const isOwn = subscription.noLocal && record.publisher === this.key.clientId;
    const qos = Math.min(record.qos, subscription.qos) as QoS;
    if (isOwn || qos === 0 || place.passed.isPassed(offset)) {
      this.done(streamId, offset);
      return;
    }
    place.held.add(offset);
    const message = new StreamMessage(this, streamId, offset, record);
    const retain = record.retain && subscription.retainAsPublished;
    this.#session.deliverStored(
      message,
      qos,
      retain,
      subscription.subscriptionIdentifier,
      message,
      this.#session.nowMs(),
    );
  }
}

interface StreamPlace {
  readonly filter: string;
  /** With the client, unanswered. */
  readonly held: Set<number>;
  /** Since this connection; undefined before the first delivery. */
  passed: Cursor | undefined;
}

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
