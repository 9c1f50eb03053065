import type { ConnackPacket, ConnectPacket, ProtocolVersion, Will } from './packet.ts';
import { PacketType } from './packet.ts';
import { propertiesSize, writeProperties, writeU16 } from './properties.ts';
import { WILL } from './property-table.ts';
import { binarySize, type TextBytes, utf8Size, writeBinary, writeUtf8 } from './utf8.ts';
import { variableByteIntegerSize } from './variable-byte-integer.ts';

/** CONNECT and CONNACK, MQTT 5 sections 3.1 and 3.2. A CONNECT speaks the version it carries. */
export function connectSize(packet: ConnectPacket): number {
  let size = (packet.isMqtt31 === true ? 12 : 10) + utf8Size(packet.clientId);
  if (packet.protocolVersion === 5) size += sectionSize(propertiesSize(packet.properties, PacketType.CONNECT));
  const will = packet.will;
  if (will !== undefined) {
    if (packet.protocolVersion === 5) size += sectionSize(propertiesSize(will.properties, WILL));
    size += utf8Size(will.topic) + binarySize(will.payload);
  }
  if (packet.username !== undefined) size += utf8Size(packet.username);
  if (packet.password !== undefined) size += binarySize(packet.password);
  return size;
}

const sectionSize = (size: number): number => size + variableByteIntegerSize(size);

export function writeConnect(packet: ConnectPacket, bytes: TextBytes, start: number): number {
  const { protocolVersion, will, properties } = packet;
  const isMqtt31 = packet.isMqtt31 === true;
  let at = writeUtf8(bytes, start, isMqtt31 ? 'MQIsdp' : 'MQTT');
  bytes[at++] = isMqtt31 ? 3 : protocolVersion;
  bytes[at++] = connectFlags(packet, will);
  at = writeU16(bytes, at, packet.keepAliveS);
  if (protocolVersion === 5) {
    const size = propertiesSize(properties, PacketType.CONNECT);
    at = writeProperties(bytes, at, properties, PacketType.CONNECT, size);
  }
  at = writeUtf8(bytes, at, packet.clientId);
  if (will !== undefined) {
    if (protocolVersion === 5) {
      at = writeProperties(bytes, at, will.properties, WILL, propertiesSize(will.properties, WILL));
    }
    at = writeUtf8(bytes, at, will.topic);
    at = writeBinary(bytes, at, will.payload);
  }
  if (packet.username !== undefined) at = writeUtf8(bytes, at, packet.username);
  if (packet.password !== undefined) at = writeBinary(bytes, at, packet.password);
  return at;
}

function connectFlags(packet: ConnectPacket, will: Will | undefined): number {
  let flags = packet.cleanStart ? 0x02 : 0;
  if (will !== undefined) flags |= 0x04 | (will.qos << 3) | (will.retain ? 0x20 : 0);
  if (packet.password !== undefined) flags |= 0x40;
  if (packet.username !== undefined) flags |= 0x80;
  return flags;
}

export function connackSize(packet: ConnackPacket, version: ProtocolVersion): number {
  return version === 5 ? 2 + sectionSize(propertiesSize(packet.properties, PacketType.CONNACK)) : 2;
}

export function writeConnack(packet: ConnackPacket, version: ProtocolVersion, bytes: TextBytes, at: number): number {
  bytes[at] = packet.sessionPresent ? 1 : 0;
  bytes[at + 1] = packet.reasonCode;
  if (version === 4) return at + 2;
  const size = propertiesSize(packet.properties, PacketType.CONNACK);
  return writeProperties(bytes, at + 2, packet.properties, PacketType.CONNACK, size);
}
