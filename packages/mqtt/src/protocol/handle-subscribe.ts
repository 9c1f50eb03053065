import { PacketType, type QoS, type SubscribePacket, type Subscription } from '../codec/packet.ts';
import { ReasonCode } from '../codec/reason-code.ts';
import { parseTopicFilter, type TopicFilterRequest } from '../topic/topic-filter.ts';
import type { ConnectionState } from './connection-state.ts';
import { FILTERS_A_STEP, type LongRequest } from './long-request.ts';
import type { SessionState, SessionSubscription } from './session-state.ts';

/**
 * SUBSCRIBE, MQTT 5 section 3.8. Each filter is judged on its own and SUBACK answers all of them, in order; only then do
 * retained messages and queues begin. Of many filters the first ones are live some turns before the SUBACK, as the
 * specification allows (section 3.8.4); of a few, no delivery overtakes it.
 */
export function handleSubscribe(connection: ConnectionState, packet: SubscribePacket): void {
  if (packet.subscriptions.length === 0) {
    connection.fail(ReasonCode.TOPIC_FILTER_INVALID, 'SUBSCRIBE without a topic filter [MQTT-3.8.3-2]');
    return;
  }
  connection.begin(new Subscribing(connection, packet));
}

class Subscribing implements LongRequest {
  readonly #connection: ConnectionState;
  readonly #session: SessionState;
  readonly #packet: SubscribePacket;
  readonly #identifier: number;
  readonly #reasonCodes: number[] = [];
  readonly #granted: SessionSubscription[] = [];
  readonly #retained: boolean[] = [];
  /** Of those granted. */
  readonly #new: SessionSubscription[] = [];
  #problem: string | undefined = undefined;
  #isAnswered = false;
  /** Of those granted, how many were told to the host. */
  #begun = 0;

  constructor(connection: ConnectionState, packet: SubscribePacket) {
    this.#connection = connection;
    this.#session = connection.session as SessionState;
    this.#packet = packet;
    this.#identifier = packet.properties?.subscriptionIdentifiers?.[0] ?? 0;
  }

  step(): boolean {
    if (this.#isAnswered) return this.#beginSome(FILTERS_A_STEP);
    const { subscriptions } = this.#packet;
    const from = this.#reasonCodes.length;
    const end = Math.min(from + FILTERS_A_STEP, subscriptions.length);
    for (let i = from; i < end; i++) {
      const reasonCode = this.#subscribe(subscriptions[i] as Subscription);
      if (reasonCode === undefined) return true;
      this.#reasonCodes.push(reasonCode);
    }
    if (end < subscriptions.length) return false;
    this.#answer();
    // A short one is done in this turn; a long one has had its share of it.
    return from === 0 && this.#beginSome(FILTERS_A_STEP);
  }

  abandoned(): void {
    if (this.#isAnswered) this.#beginSome(Number.POSITIVE_INFINITY);
    else for (const subscription of this.#new) subscription.isUnanswered = true;
  }

  #answer(): void {
    this.#isAnswered = true;
    this.#connection.effects.send({
      type: PacketType.SUBACK,
      packetId: this.#packet.packetId,
      reasonCodes: this.#reasonCodes,
      properties: this.#connection.reasonProperties(this.#problem),
    });
  }

  /** True when none is left. */
  #beginSome(count: number): boolean {
    const end = Math.min(this.#begun + count, this.#granted.length);
    for (; this.#begun < end; this.#begun++) {
      const subscription = this.#granted[this.#begun] as SessionSubscription;
      // It may have been taken away meanwhile: permissions change.
      if (this.#session.subscriptions.get(subscription.text) !== subscription) continue;
      this.#connection.effects.subscribed(this.#session, subscription, this.#retained[this.#begun] as boolean);
    }
    return end === this.#granted.length;
  }

  /** Its reason code; undefined: the connection has ended. */
  #subscribe(asked: Subscription): number | undefined {
    const connection = this.#connection;
    const session = this.#session;
    const request = parseTopicFilter(asked.filter);
    if (request.kind === 'invalid') return this.#refused(ReasonCode.TOPIC_FILTER_INVALID, request.problem);
    if (request.kind === 'shared' && asked.noLocal) {
      connection.fail(ReasonCode.PROTOCOL_ERROR, 'No Local on a shared subscription [MQTT-3.8.3-4]');
      return undefined;
    }
    let subscription = session.subscriptions.get(asked.filter);
    const former = subscription === undefined ? undefined : { ...subscription };
    const isNew = former === undefined || former.isUnanswered;
    if (subscription === undefined) {
      if (!session.mayHold(asked.filter)) {
        return this.#refused(ReasonCode.QUOTA_EXCEEDED, 'more subscriptions than one client may hold');
      }
      subscription = {
        text: asked.filter,
        request,
        qos: asked.qos,
        noLocal: false,
        retainAsPublished: false,
        subscriptionIdentifier: this.#identifier,
        isUnanswered: false,
        handle: undefined,
      };
      session.hold(subscription);
    }
    adopt(subscription, asked, qosFor(session, request, asked), this.#identifier);
    const taken = connection.effects.subscribe(session, subscription);
    if (taken >= 0x80) {
      // One that was there goes on as it was.
      if (former === undefined) session.release(subscription);
      else adopt(subscription, former, former.qos, former.subscriptionIdentifier);
      return this.#refused(taken, 'the server holds as many subscriptions as it may');
    }
    subscription.isUnanswered = false;
    if (isNew) this.#new.push(subscription);
    this.#granted.push(subscription);
    this.#retained.push(wantsRetained(subscription, asked, isNew));
    return subscription.qos;
  }

  #refused(reasonCode: number, problem: string): number {
    this.#problem ??= problem;
    return this.#connection.version === 5 ? reasonCode : 0x80;
  }
}

/**
 * What a shared group delivers at QoS 2 must be finished with its client when that comes back [MQTT-4.8.2-4]. Such messages
 * are live and stored nowhere, so in a session that outlives its server none is begun.
 */
function qosFor(session: SessionState, { kind }: TopicFilterRequest, { qos }: Subscription): QoS {
  return kind === 'shared' && qos === 2 && session.exchanges !== undefined ? 1 : qos;
}

/** The options of the last SUBSCRIBE hold; the subscription itself goes on [MQTT-3.8.4-3]. */
function adopt(
  subscription: SessionSubscription,
  asked: Pick<Subscription, 'noLocal' | 'retainAsPublished'>,
  qos: QoS,
  identifier: number,
): void {
  subscription.qos = qos;
  subscription.noLocal = asked.noLocal;
  subscription.retainAsPublished = asked.retainAsPublished;
  subscription.subscriptionIdentifier = identifier;
}

/** [MQTT-3.3.1-9] … [MQTT-3.3.1-11]; never for shared subscriptions and queues. */
function wantsRetained(subscription: SessionSubscription, asked: Subscription, isNew: boolean): boolean {
  if (subscription.request.kind !== 'plain') return false;
  return asked.retainHandling === 0 || (asked.retainHandling === 1 && isNew);
}
