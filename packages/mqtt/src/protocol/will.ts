import { type ConnectPacket, PacketType, type PublishPacket, type Will } from '../codec/packet.ts';
import { ReasonCode } from '../codec/reason-code.ts';
import { topicNameProblem } from '../topic/topic-name.ts';
import { copyForwarded } from './outbound-publish.ts';
import { publishRefusal } from './reserved-topic.ts';

/**
 * The will is checked when it is left, like the publish it may become: a will into a topic that its client may not
 * publish to would otherwise be a way around the refusal.
 */
export function willRefusal(packet: ConnectPacket): number | undefined {
  const will = packet.will;
  if (will === undefined) return undefined;
  if (topicNameProblem(will.topic) !== undefined) return ReasonCode.TOPIC_NAME_INVALID;
  return publishRefusal(will.topic);
}

/** How the connection ended, as far as its will is concerned. */
export type ConnectionEnd =
  /** DISCONNECT 0x00: the will is removed [MQTT-3.14.4-3]. */
  | 'client_disconnect'
  /** Closed without a word, a protocol error, a refusal, DISCONNECT 0x04 and above. */
  | 'abnormal'
  /** Another connection has taken the session and goes on with it. */
  | 'taken_over'
  /** Another connection of this client began a new session. */
  | 'discarded';

/**
 * A will that is kept here is due when its connection ends, since here the session ends with it [MQTT-3.1.3-9]. Only a
 * client that takes its own session over stops a will that has a delay. Where sessions outlive their connection, wills
 * are kept with them and none of this is asked.
 */
export function willIsDue(will: Will, end: ConnectionEnd): boolean {
  switch (end) {
    case 'client_disconnect':
      return false;
    case 'taken_over':
      return (will.properties?.willDelayIntervalS ?? 0) === 0;
    case 'abnormal':
    case 'discarded':
      return true;
  }
}

/** The will as the PUBLISH it becomes; its delay stays behind. */
export function willPublish(will: Will): PublishPacket {
  const packet: PublishPacket = {
    type: PacketType.PUBLISH,
    topic: will.topic,
    payload: will.payload,
    qos: will.qos,
    retain: will.retain,
    dup: false,
    packetId: 0,
    properties: undefined,
  };
  if (will.properties !== undefined) {
    packet.properties = copyForwarded(will.properties);
    const expiryS = will.properties.messageExpiryIntervalS;
    if (expiryS !== undefined) packet.properties.messageExpiryIntervalS = expiryS;
  }
  return packet;
}
