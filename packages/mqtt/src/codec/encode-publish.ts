import type { Properties, ProtocolVersion, PublishPacket } from './packet.ts';
import {
  subscriptionIdentifiersSize,
  userPropertiesSize,
  writeSubscriptionIdentifiers,
  writeU16,
  writeU32,
  writeUserProperties,
} from './properties.ts';
import { binarySize, type TextBytes, utf8Size, writeBinary, writeUtf8 } from './utf8.ts';
import { variableByteIntegerSize, writeVariableByteInteger } from './variable-byte-integer.ts';

/**
 * PUBLISH, MQTT 5 section 3.3. Its properties are written by hand instead of through the property table: they travel
 * with every message, and eight plain loads cost a third of eight table rows. The round-trip tests hold both to the
 * same bytes.
 *
 * @hotpath
 */
export function publishPropertiesSize(properties: Properties | undefined): number {
  if (properties === undefined) return 0;
  let size = 0;
  if (properties.payloadFormatIndicator !== undefined) size += 2;
  if (properties.messageExpiryIntervalS !== undefined) size += 5;
  if (properties.contentType !== undefined) size += 1 + utf8Size(properties.contentType);
  if (properties.responseTopic !== undefined) size += 1 + utf8Size(properties.responseTopic);
  if (properties.correlationData !== undefined) size += 1 + binarySize(properties.correlationData);
  if (properties.subscriptionIdentifiers !== undefined) {
    size += subscriptionIdentifiersSize(properties.subscriptionIdentifiers);
  }
  if (properties.topicAlias !== undefined) size += 3;
  if (properties.userProperties !== undefined) size += userPropertiesSize(properties.userProperties);
  return size;
}

/** Everything of the body but the payload. `propertiesSizeBytes` is what `publishPropertiesSize` gave. */
export function publishHeadSize(packet: PublishPacket, version: ProtocolVersion, propertiesSizeBytes: number): number {
  let size = utf8Size(packet.topic);
  if (packet.qos !== 0) size += 2;
  if (version === 5) size += propertiesSizeBytes + variableByteIntegerSize(propertiesSizeBytes);
  return size;
}

export function publishFirstByte(packet: PublishPacket): number {
  return 0x30 | (packet.dup ? 8 : 0) | (packet.qos << 1) | (packet.retain ? 1 : 0);
}

export function writePublishHead(
  packet: PublishPacket,
  version: ProtocolVersion,
  propertiesSizeBytes: number,
  bytes: TextBytes,
  start: number,
): number {
  let at = writeUtf8(bytes, start, packet.topic);
  if (packet.qos !== 0) at = writeU16(bytes, at, packet.packetId);
  if (version === 4) return at;
  at = writeVariableByteInteger(bytes, at, propertiesSizeBytes);
  const properties = packet.properties;
  return properties === undefined || propertiesSizeBytes === 0 ? at : writePublishProperties(properties, bytes, at);
}

function writePublishProperties(properties: Properties, bytes: TextBytes, start: number): number {
  let at = start;
  if (properties.payloadFormatIndicator !== undefined) {
    bytes[at] = 0x01;
    bytes[at + 1] = properties.payloadFormatIndicator;
    at += 2;
  }
  if (properties.messageExpiryIntervalS !== undefined) {
    bytes[at] = 0x02;
    at = writeU32(bytes, at + 1, properties.messageExpiryIntervalS);
  }
  if (properties.contentType !== undefined) {
    bytes[at] = 0x03;
    at = writeUtf8(bytes, at + 1, properties.contentType);
  }
  if (properties.responseTopic !== undefined) {
    bytes[at] = 0x08;
    at = writeUtf8(bytes, at + 1, properties.responseTopic);
  }
  if (properties.correlationData !== undefined) {
    bytes[at] = 0x09;
    at = writeBinary(bytes, at + 1, properties.correlationData);
  }
  if (properties.subscriptionIdentifiers !== undefined) {
    at = writeSubscriptionIdentifiers(bytes, at, properties.subscriptionIdentifiers);
  }
  if (properties.topicAlias !== undefined) {
    bytes[at] = 0x23;
    at = writeU16(bytes, at + 1, properties.topicAlias);
  }
  if (properties.userProperties !== undefined) at = writeUserProperties(bytes, at, properties.userProperties);
  return at;
}
