import type { PublishPacket, QoS } from './packet.ts';
import { PacketType } from './packet.ts';
import type { PacketBody } from './packet-body.ts';
import { decodeProperties } from './properties.ts';
import { ReasonCode } from './reason-code.ts';
import { readPublishTopic } from './topic-syntax.ts';

/**
 * PUBLISH, MQTT 5 section 3.3. The payload is whatever is left, as a view: it is neither copied nor looked at.
 *
 * @hotpath
 */
export function decodePublish(body: PacketBody, flags: number): PublishPacket {
  const topic = readPublishTopic(body);
  const qos = ((flags >>> 1) & 3) as QoS;
  const packetId = qos === 0 ? 0 : body.packetId();
  const properties = body.version === 5 ? decodeProperties(body, PacketType.PUBLISH) : undefined;
  if (topic === '' && properties?.topicAlias === undefined) refuseEmptyTopic(body);
  return {
    type: PacketType.PUBLISH,
    topic,
    payload: body.rest(),
    qos,
    retain: (flags & 1) !== 0,
    dup: (flags & 8) !== 0,
    packetId,
    properties,
  };
}

function refuseEmptyTopic(body: PacketBody): never {
  if (body.version === 5) return body.protocolError('an empty topic without a topic alias, section 3.3.2.1');
  return body.fail(ReasonCode.TOPIC_NAME_INVALID, 'a topic name is empty [MQTT-4.7.3-1]');
}
