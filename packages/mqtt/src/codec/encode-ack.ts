import type { AckPacket, AuthPacket, DisconnectPacket, ProtocolVersion } from './packet.ts';
import { propertiesSize, writeProperties, writeU16 } from './properties.ts';
import type { TextBytes } from './utf8.ts';
import { variableByteIntegerSize } from './variable-byte-integer.ts';

/**
 * PUBACK and its relatives, DISCONNECT and AUTH (MQTT 5 sections 3.4 to 3.7, 3.14, 3.15): reason code and properties
 * are left off where their absence says the same.
 *
 * @hotpath
 */
export function ackSize(packet: AckPacket, version: ProtocolVersion): number {
  return version === 4 ? 2 : 2 + reasonSize(packet, 0);
}

export function writeAck(packet: AckPacket, version: ProtocolVersion, bytes: TextBytes, start: number): number {
  const at = writeU16(bytes, start, packet.packetId);
  return version === 4 ? at : writeReason(packet, bytes, at, 0);
}

export function disconnectSize(packet: DisconnectPacket, version: ProtocolVersion): number {
  return version === 4 ? 0 : reasonSize(packet, 0);
}

export function writeDisconnect(
  packet: DisconnectPacket,
  version: ProtocolVersion,
  bytes: TextBytes,
  at: number,
): number {
  return version === 4 ? at : writeReason(packet, bytes, at, 0);
}

/** An AUTH has both reason code and property length, or neither. */
export function authSize(packet: AuthPacket): number {
  return reasonSize(packet, 1);
}

export function writeAuth(packet: AuthPacket, bytes: TextBytes, at: number): number {
  return writeReason(packet, bytes, at, 1);
}

/** `emptySectionSize` is 1 when a property length of 0 must stand behind a reason code that says something. */
function reasonSize(packet: AckPacket | DisconnectPacket | AuthPacket, emptySectionSize: 0 | 1): number {
  if (packet.properties === undefined) return packet.reasonCode === 0 ? 0 : 1 + emptySectionSize;
  const size = propertiesSize(packet.properties, packet.type);
  if (size === 0) return packet.reasonCode === 0 ? 0 : 1 + emptySectionSize;
  return 1 + variableByteIntegerSize(size) + size;
}

function writeReason(
  packet: AckPacket | DisconnectPacket | AuthPacket,
  bytes: TextBytes,
  at: number,
  emptySectionSize: 0 | 1,
): number {
  const size = packet.properties === undefined ? 0 : propertiesSize(packet.properties, packet.type);
  if (size === 0 && packet.reasonCode === 0) return at;
  bytes[at] = packet.reasonCode;
  if (size === 0 && emptySectionSize === 0) return at + 1;
  return writeProperties(bytes, at + 1, packet.properties, packet.type, size);
}
