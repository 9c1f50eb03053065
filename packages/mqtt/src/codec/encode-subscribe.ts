import type {
  ProtocolVersion,
  SubackPacket,
  SubscribePacket,
  Subscription,
  UnsubackPacket,
  UnsubscribePacket,
} from './packet.ts';
import { PacketType } from './packet.ts';
import { propertiesSize, writeProperties, writeU16 } from './properties.ts';
import { type TextBytes, utf8Size, writeUtf8 } from './utf8.ts';
import { variableByteIntegerSize } from './variable-byte-integer.ts';

/** SUBSCRIBE, UNSUBSCRIBE and their answers, MQTT 5 sections 3.8 to 3.11. */
type Packet = SubscribePacket | SubackPacket | UnsubscribePacket | UnsubackPacket;

function headSize(packet: Packet, version: ProtocolVersion): number {
  if (version === 4) return 2;
  const size = propertiesSize(packet.properties, packet.type);
  return 2 + variableByteIntegerSize(size) + size;
}

function writeHead(packet: Packet, version: ProtocolVersion, bytes: TextBytes, start: number): number {
  const at = writeU16(bytes, start, packet.packetId);
  if (version === 4) return at;
  return writeProperties(bytes, at, packet.properties, packet.type, propertiesSize(packet.properties, packet.type));
}

export function subscribeSize(packet: SubscribePacket, version: ProtocolVersion): number {
  let size = headSize(packet, version);
  for (const subscription of packet.subscriptions) size += utf8Size(subscription.filter) + 1;
  return size;
}

export function writeSubscribe(
  packet: SubscribePacket,
  version: ProtocolVersion,
  bytes: TextBytes,
  start: number,
): number {
  let at = writeHead(packet, version, bytes, start);
  for (const subscription of packet.subscriptions) {
    at = writeUtf8(bytes, at, subscription.filter);
    bytes[at++] = version === 5 ? subscriptionOptions(subscription) : subscription.qos;
  }
  return at;
}

function subscriptionOptions(subscription: Subscription): number {
  const { qos, noLocal, retainAsPublished, retainHandling } = subscription;
  return qos | (noLocal ? 4 : 0) | (retainAsPublished ? 8 : 0) | (retainHandling << 4);
}

export function unsubscribeSize(packet: UnsubscribePacket, version: ProtocolVersion): number {
  let size = headSize(packet, version);
  for (const filter of packet.filters) size += utf8Size(filter);
  return size;
}

export function writeUnsubscribe(
  packet: UnsubscribePacket,
  version: ProtocolVersion,
  bytes: TextBytes,
  start: number,
): number {
  let at = writeHead(packet, version, bytes, start);
  for (const filter of packet.filters) at = writeUtf8(bytes, at, filter);
  return at;
}

/** SUBACK, and the UNSUBACK of MQTT 5; that of 3.1.1 has no payload. */
export function subackSize(packet: SubackPacket | UnsubackPacket, version: ProtocolVersion): number {
  return headSize(packet, version) + payloadOf(packet, version).length;
}

export function writeSuback(
  packet: SubackPacket | UnsubackPacket,
  version: ProtocolVersion,
  bytes: TextBytes,
  start: number,
): number {
  let at = writeHead(packet, version, bytes, start);
  for (const code of payloadOf(packet, version)) bytes[at++] = code;
  return at;
}

const NO_CODES: readonly number[] = [];

function payloadOf(packet: SubackPacket | UnsubackPacket, version: ProtocolVersion): readonly number[] {
  return packet.type === PacketType.UNSUBACK && version === 4 ? NO_CODES : packet.reasonCodes;
}
