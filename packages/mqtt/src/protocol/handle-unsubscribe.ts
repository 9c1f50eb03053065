import { PacketType, type UnsubscribePacket } from '../codec/packet.ts';
import { ReasonCode } from '../codec/reason-code.ts';
import type { ConnectionState } from './connection-state.ts';
import { reasonText } from './reason-text.ts';
import type { SessionState } from './session-state.ts';

/** UNSUBSCRIBE, MQTT 5 section 3.10: filters are compared as they were written [MQTT-3.10.4-1]. */
export function handleUnsubscribe(connection: ConnectionState, packet: UnsubscribePacket): void {
  const session = connection.session as SessionState;
  if (packet.filters.length === 0) {
    connection.fail(ReasonCode.TOPIC_FILTER_INVALID, 'UNSUBSCRIBE without a topic filter [MQTT-3.10.3-2]');
    return;
  }
  const reasonCodes: number[] = [];
  let problem: string | undefined;
  for (const text of packet.filters) {
    const subscription = session.subscriptions.get(text);
    if (subscription === undefined) {
      reasonCodes.push(ReasonCode.NO_SUBSCRIPTION_EXISTED);
      problem ??= reasonText(ReasonCode.NO_SUBSCRIPTION_EXISTED);
      continue;
    }
    session.release(subscription);
    connection.effects.unsubscribe(session, subscription);
    reasonCodes.push(ReasonCode.SUCCESS);
  }
  connection.effects.send({
    type: PacketType.UNSUBACK,
    packetId: packet.packetId,
    reasonCodes: connection.version === 5 ? reasonCodes : [],
    properties: connection.reasonProperties(problem),
  });
}
