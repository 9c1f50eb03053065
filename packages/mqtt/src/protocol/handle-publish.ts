import type { PublishPacket } from '../codec/packet.ts';
import { ReasonCode } from '../codec/reason-code.ts';
import type { InboundAck } from './ack-order.ts';
import type { ConnectionState } from './connection-state.ts';
import { propertiesHeldBytes } from './deliverable-message.ts';
import { payloadFormatRefusal } from './payload-format.ts';
import { reasonText } from './reason-text.ts';
import { publishRefusal } from './reserved-topic.ts';

/**
 * PUBLISH from the client, MQTT 5 section 3.3. A QoS 1 or 2 message takes its place in the order of acknowledgements
 * before it is handed on, and is acknowledged by whoever stored it. QoS 2 is published when it arrives ("method B" is
 * not used): PUBREC means committed, PUBREL only frees the packet id.
 *
 * @hotpath
 */
export function handlePublish(connection: ConnectionState, packet: PublishPacket, nowMs: number): void {
  const properties = packet.properties;
  if (properties !== undefined) {
    if (properties.subscriptionIdentifiers !== undefined) {
      connection.fail(ReasonCode.PROTOCOL_ERROR, 'a client sends no Subscription Identifier [MQTT-3.3.4-6]');
      return;
    }
    if (properties.topicAlias !== undefined) {
      const topic = connection.inboundAliases.resolve(properties.topicAlias, packet.topic);
      if (typeof topic === 'number') {
        connection.fail(topic, 'a topic alias that was never allowed or defined');
        return;
      }
      packet.topic = topic;
      properties.topicAlias = undefined;
    }
  }
  if (packet.topic === '') {
    connection.fail(ReasonCode.PROTOCOL_ERROR, 'neither topic nor alias, section 3.3.2.1');
    return;
  }
  const refusal = publishRefusal(packet.topic) ?? payloadFormatRefusal(connection, properties, packet.payload);
  if (packet.qos === 0) {
    if (refusal !== undefined) {
      connection.fail(refusal, reasonText(refusal) ?? 'this message is refused');
      return;
    }
    connection.effects.publish(packet, undefined);
    return;
  }
  const ack = packet.qos === 1 ? openQos1(connection, packet, nowMs) : openQos2(connection, packet, nowMs);
  if (ack === undefined) return;
  if (refusal !== undefined) ack.complete(refusal);
  else connection.effects.publish(packet, ack);
}

function openQos1(connection: ConnectionState, packet: PublishPacket, nowMs: number): InboundAck | undefined {
  if (!takeQuota(connection)) return undefined;
  return connection.acks.open(packet.packetId, 1, weightBytes(packet), nowMs);
}

/** Undefined when the message must not be published: it was before, or the connection is at its end. */
function openQos2(connection: ConnectionState, packet: PublishPacket, nowMs: number): InboundAck | undefined {
  const received = connection.session?.received;
  if (received === undefined) return undefined;
  if (received.isReceived(packet.packetId)) {
    // Sent again because PUBREC did not arrive: answered in its place, not published [MQTT-4.3.3-10].
    connection.acks.open(packet.packetId, 2, 0, nowMs).complete(ReasonCode.SUCCESS);
    return undefined;
  }
  const pending = received.pending(packet.packetId);
  if (pending !== undefined) {
    // Still being committed. On this connection its PUBREC will come; on an earlier one it moves here.
    if (pending.order !== connection.acks && takeQuota(connection)) connection.acks.enqueue(pending);
    return undefined;
  }
  if (!takeQuota(connection)) return undefined;
  const refusal = packet.dup && connection.version === 5 ? received.refusal(packet.packetId) : 0;
  if (refusal !== 0) {
    // Sent again because the refusal did not arrive.
    connection.acks.open(packet.packetId, 2, 0, nowMs).complete(refusal);
    return undefined;
  }
  const ack = connection.acks.open(packet.packetId, 2, weightBytes(packet), nowMs);
  received.begin(ack);
  return ack;
}

/** [MQTT-3.3.4-7]; MQTT 3.1.1 clients are bounded by the host, which stops reading. */
function takeQuota(connection: ConnectionState): boolean {
  if (connection.version === 5 && connection.receiveQuotaUsed >= connection.limits.receiveMaximum) {
    connection.fail(ReasonCode.RECEIVE_MAXIMUM_EXCEEDED, 'more unacknowledged publishes than Receive Maximum');
    return false;
  }
  connection.receiveQuotaUsed++;
  return true;
}

function weightBytes(packet: PublishPacket): number {
  return packet.payload.length + packet.topic.length + PUBLISH_OVERHEAD_BYTES + propertiesHeldBytes(packet.properties);
}

/** An empty message weighs something too. */
const PUBLISH_OVERHEAD_BYTES = 64;
