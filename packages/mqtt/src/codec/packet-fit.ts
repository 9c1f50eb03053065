import { encodedSizeBytes } from './encoder.ts';
import type { Packet, Properties, ProtocolVersion } from './packet.ts';
import { PacketType } from './packet.ts';

/**
 * The peer's Maximum Packet Size, MQTT 5 section 3.1.2.11.4. A packet that exceeds it must not be sent
 * [MQTT-3.1.2-24]. A PUBLISH is then dropped as if it had been delivered [MQTT-3.1.2-25]; every other packet first
 * loses what is only there for people to read: its user properties, then its reason string. Undefined when even that
 * is not enough.
 */
export function fitPacket(
  packet: Packet,
  version: ProtocolVersion,
  maximumPacketSizeBytes: number,
): Packet | undefined {
  if (encodedSizeBytes(packet, version) <= maximumPacketSizeBytes) return packet;
  if (packet.type === PacketType.PUBLISH || !('properties' in packet) || packet.properties === undefined) {
    return undefined;
  }
  const properties: Properties = { ...packet.properties };
  delete properties.userProperties;
  const fitted: Packet = { ...packet, properties };
  if (encodedSizeBytes(fitted, version) <= maximumPacketSizeBytes) return fitted;
  delete properties.reasonString;
  return encodedSizeBytes(fitted, version) <= maximumPacketSizeBytes ? fitted : undefined;
}
