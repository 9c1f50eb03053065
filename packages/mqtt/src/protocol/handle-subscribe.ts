import { PacketType, type QoS, type SubscribePacket, type Subscription } from '../codec/packet.ts';
import { ReasonCode } from '../codec/reason-code.ts';
import { parseTopicFilter, type TopicFilterRequest } from '../topic/topic-filter.ts';
import type { ConnectionState } from './connection-state.ts';
import type { SessionState, SessionSubscription } from './session-state.ts';

/**
 * SUBSCRIBE, MQTT 5 section 3.8. Each filter is judged on its own and SUBACK answers all of them, in order; only then do
 * deliveries begin, so that no delivery of this turn overtakes the SUBACK.
 */
export function handleSubscribe(connection: ConnectionState, packet: SubscribePacket): void {
  const session = connection.session as SessionState;
  if (packet.subscriptions.length === 0) {
    connection.fail(ReasonCode.TOPIC_FILTER_INVALID, 'SUBSCRIBE without a topic filter [MQTT-3.8.3-2]');
    return;
  }
  const identifier = packet.properties?.subscriptionIdentifiers?.[0] ?? 0;
  const reasonCodes: number[] = [];
  const granted: SessionSubscription[] = [];
  const retained: boolean[] = [];
  let problem: string | undefined;
  for (const asked of packet.subscriptions) {
    const request = parseTopicFilter(asked.filter);
    if (request.kind === 'invalid') {
      reasonCodes.push(refusalCode(connection, ReasonCode.TOPIC_FILTER_INVALID));
      problem ??= request.problem;
      continue;
    }
    if (request.kind === 'shared' && asked.noLocal) {
      connection.fail(ReasonCode.PROTOCOL_ERROR, 'No Local on a shared subscription [MQTT-3.8.3-4]');
      return;
    }
    let subscription = session.subscriptions.get(asked.filter);
    const added = subscription === undefined;
    if (subscription === undefined) {
      if (!session.mayHold(asked.filter)) {
        reasonCodes.push(refusalCode(connection, ReasonCode.QUOTA_EXCEEDED));
        problem ??= 'more subscriptions than one client may hold';
        continue;
      }
      subscription = {
        text: asked.filter,
        request,
        qos: asked.qos,
        noLocal: false,
        retainAsPublished: false,
        subscriptionIdentifier: identifier,
        handle: undefined,
      };
      session.hold(subscription);
    }
    adopt(subscription, asked, qosFor(session, request, asked), identifier);
    const taken = connection.effects.subscribe(session, subscription);
    if (taken >= 0x80) {
      if (added) session.release(subscription);
      reasonCodes.push(refusalCode(connection, taken));
      problem ??= 'the server holds as many subscriptions as it may';
      continue;
    }
    granted.push(subscription);
    retained.push(wantsRetained(subscription, asked, added));
    reasonCodes.push(subscription.qos);
  }
  connection.effects.send({
    type: PacketType.SUBACK,
    packetId: packet.packetId,
    reasonCodes,
    properties: connection.reasonProperties(problem),
  });
  for (let i = 0; i < granted.length; i++) {
    connection.effects.subscribed(session, granted[i] as SessionSubscription, retained[i] as boolean);
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
function adopt(subscription: SessionSubscription, asked: Subscription, qos: QoS, identifier: number): void {
  subscription.qos = qos;
  subscription.noLocal = asked.noLocal;
  subscription.retainAsPublished = asked.retainAsPublished;
  subscription.subscriptionIdentifier = identifier;
}

/** [MQTT-3.3.1-9] … [MQTT-3.3.1-11]; never for shared subscriptions and queues. */
function wantsRetained(subscription: SessionSubscription, asked: Subscription, added: boolean): boolean {
  if (subscription.request.kind !== 'plain') return false;
  return asked.retainHandling === 0 || (asked.retainHandling === 1 && added);
}

function refusalCode(connection: ConnectionState, reasonCode: number): number {
  return connection.version === 5 ? reasonCode : 0x80;
}
