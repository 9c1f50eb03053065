import { SluiceError } from '@sluice/common/errors';
import { ackSize, authSize, disconnectSize, writeAck, writeAuth, writeDisconnect } from './encode-ack.ts';
import { connackSize, connectSize, writeConnack, writeConnect } from './encode-connect.ts';
import { publishFirstByte, publishHeadSize, publishPropertiesSize, writePublishHead } from './encode-publish.ts';
import {
  subackSize,
  subscribeSize,
  unsubscribeSize,
  writeSuback,
  writeSubscribe,
  writeUnsubscribe,
} from './encode-subscribe.ts';
import type { Packet, ProtocolVersion } from './packet.ts';
import { PacketType } from './packet.ts';
import type { TextBytes } from './utf8.ts';
import {
  VARIABLE_BYTE_INTEGER_MAX,
  variableByteIntegerSize,
  writeVariableByteInteger,
} from './variable-byte-integer.ts';

/**
 * Packets to bytes: the size first, then one write into room of that size. Packets are trusted to be what MQTT allows;
 * properties that have no place in a packet's type or version are left out. What cannot be written at all (a string
 * above 64 KiB, a packet above 256 MiB) throws a `SluiceError`. Many packets a turn go through a `PacketWriter`.
 */
export function encode(packet: Packet, version: ProtocolVersion): Uint8Array {
  const remaining = remainingLength(packet, version);
  const bytes = Buffer.allocUnsafe(fixedHeaderSize(remaining) + remaining) as unknown as TextBytes;
  writePacket(packet, version, remaining, bytes, 0);
  return bytes;
}

/** What the receiver's Maximum Packet Size is compared with, section 3.1.2.11.4: the whole packet. */
export function encodedSizeBytes(packet: Packet, version: ProtocolVersion): number {
  const remaining = remainingLength(packet, version);
  return fixedHeaderSize(remaining) + remaining;
}

export function fixedHeaderSize(remaining: number): number {
  if (remaining > VARIABLE_BYTE_INTEGER_MAX) {
    throw new SluiceError('MQTT_PACKET_TOO_LONG', `a packet body of ${remaining} bytes does not fit MQTT`);
  }
  return 1 + variableByteIntegerSize(remaining);
}

/** The size of the variable header and payload. */
export function remainingLength(packet: Packet, version: ProtocolVersion): number {
  switch (packet.type) {
    case PacketType.PUBLISH: {
      const propertiesSize = version === 5 ? publishPropertiesSize(packet.properties) : 0;
      return publishHeadSize(packet, version, propertiesSize) + packet.payload.length;
    }
    case PacketType.PUBACK:
    case PacketType.PUBREC:
    case PacketType.PUBREL:
    case PacketType.PUBCOMP:
      return ackSize(packet, version);
    case PacketType.PINGREQ:
    case PacketType.PINGRESP:
      return 0;
    case PacketType.SUBSCRIBE:
      return subscribeSize(packet, version);
    case PacketType.UNSUBSCRIBE:
      return unsubscribeSize(packet, version);
    case PacketType.SUBACK:
    case PacketType.UNSUBACK:
      return subackSize(packet, version);
    case PacketType.CONNECT:
      return connectSize(packet);
    case PacketType.CONNACK:
      return connackSize(packet, version);
    case PacketType.DISCONNECT:
      return disconnectSize(packet, version);
    case PacketType.AUTH:
      return authSize(packet);
  }
}

/** Writes a packet whose `remainingLength` was taken and made room for; returns the offset behind it. */
export function writePacket(
  packet: Packet,
  version: ProtocolVersion,
  remaining: number,
  bytes: TextBytes,
  start: number,
): number {
  bytes[start] = firstByte(packet);
  const at = writeVariableByteInteger(bytes, start + 1, remaining);
  switch (packet.type) {
    case PacketType.PUBLISH: {
      const propertiesSize = version === 5 ? publishPropertiesSize(packet.properties) : 0;
      const end = writePublishHead(packet, version, propertiesSize, bytes, at);
      bytes.set(packet.payload, end);
      return end + packet.payload.length;
    }
    case PacketType.PUBACK:
    case PacketType.PUBREC:
    case PacketType.PUBREL:
    case PacketType.PUBCOMP:
      return writeAck(packet, version, bytes, at);
    case PacketType.PINGREQ:
    case PacketType.PINGRESP:
      return at;
    case PacketType.SUBSCRIBE:
      return writeSubscribe(packet, version, bytes, at);
    case PacketType.UNSUBSCRIBE:
      return writeUnsubscribe(packet, version, bytes, at);
    case PacketType.SUBACK:
    case PacketType.UNSUBACK:
      return writeSuback(packet, version, bytes, at);
    case PacketType.CONNECT:
      return writeConnect(packet, bytes, at);
    case PacketType.CONNACK:
      return writeConnack(packet, version, bytes, at);
    case PacketType.DISCONNECT:
      return writeDisconnect(packet, version, bytes, at);
    case PacketType.AUTH:
      return writeAuth(packet, bytes, at);
  }
}

function firstByte(packet: Packet): number {
  switch (packet.type) {
    case PacketType.PUBLISH:
      return publishFirstByte(packet);
    case PacketType.PUBREL:
    case PacketType.SUBSCRIBE:
    case PacketType.UNSUBSCRIBE:
      return (packet.type << 4) | 2;
    default:
      return packet.type << 4;
  }
}
