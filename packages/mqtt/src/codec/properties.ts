import type { Properties } from './packet.ts';
import { PacketType } from './packet.ts';
import type { PacketBody } from './packet-body.ts';
import {
  PROPERTIES_OF_PACKET,
  PROPERTY_BY_ID,
  PropertyKind,
  type PropertySpec,
  SUBSCRIPTION_IDENTIFIER,
  TOPIC_ALIAS,
  USER_PROPERTY,
} from './property-table.ts';
import { ReasonCode } from './reason-code.ts';
import { readTopicName } from './topic-syntax.ts';
import { binarySize, type TextBytes, utf8Size, writeBinary, writeUtf8 } from './utf8.ts';
import { variableByteIntegerSize, writeVariableByteInteger } from './variable-byte-integer.ts';

/**
 * The property section of a packet, MQTT 5 section 2.2.2. An identifier that has no place in this packet is malformed,
 * a repetition or a value out of range is a protocol error. The names under which values are stored come from our
 * table; what the peer names (user properties) stays in one flat list, in its order.
 */
type Values = { [name in keyof Properties]: unknown };

/** Reads the section's length and content. Undefined when it is empty. `packet` is a packet type, or `WILL`. */
export function decodeProperties(body: PacketBody, packet: number): Properties | undefined {
  const length = body.variableByteInteger();
  if (length === 0) return undefined;
  const packetEnd = body.end;
  const end = body.at + length;
  if (end > packetEnd) body.endsEarly();
  // Within the section no field may reach past its end, even if the packet goes on.
  body.end = end;
  const properties: Properties = {};
  let seen = 0;
  let userProperties: string[] | undefined;
  while (body.at < end) {
    const id = body.u8();
    if (id === USER_PROPERTY) {
      if (userProperties === undefined) {
        userProperties = [];
        body.textBegins(end);
        properties.userProperties = userProperties;
      }
      if (userProperties.length >= 2 * body.limits.userPropertiesMax) {
        body.fail(ReasonCode.QUOTA_EXCEEDED, `more than ${body.limits.userPropertiesMax} user properties`);
      }
      userProperties.push(body.textString(), body.textString());
      continue;
    }
    const spec = id < PROPERTY_BY_ID.length ? PROPERTY_BY_ID[id] : undefined;
    if (spec === undefined || (spec.packets & (1 << packet)) === 0) {
      return body.malformed(`property 0x${id.toString(16)} does not belong into this packet, section 2.2.2.2`);
    }
    if (id === SUBSCRIPTION_IDENTIFIER && packet === PacketType.PUBLISH) {
      if (body.role === 'server') body.protocolError('a client sent a subscription identifier [MQTT-3.3.4-6]');
      properties.subscriptionIdentifiers ??= [];
      properties.subscriptionIdentifiers.push(decodeNumber(body, spec));
      continue;
    }
    if ((seen & spec.bit) !== 0) body.protocolError(`${spec.name} appears twice`);
    seen |= spec.bit;
    (properties as Values)[spec.name] = decodeValue(body, spec, packet);
  }
  if (userProperties !== undefined) body.textEnds();
  body.end = packetEnd;
  return properties;
}

function decodeValue(body: PacketBody, spec: PropertySpec, packet: number): unknown {
  switch (spec.kind) {
    case PropertyKind.STRING:
      return body.string();
    case PropertyKind.TOPIC: {
      const topic = readTopicName(body, ReasonCode.PROTOCOL_ERROR);
      if (topic === '') body.protocolError(`${spec.name} is empty [MQTT-4.7.3-1]`);
      return topic;
    }
    case PropertyKind.BINARY:
      return packet === PacketType.PUBLISH ? body.binary() : body.binaryCopy();
    case PropertyKind.VARIABLE:
      return [decodeNumber(body, spec)];
    default:
      return decodeNumber(body, spec);
  }
}

function decodeNumber(body: PacketBody, spec: PropertySpec): number {
  const kind = spec.kind;
  const value =
    kind === PropertyKind.BYTE
      ? body.u8()
      : kind === PropertyKind.TWO_BYTE
        ? body.u16()
        : kind === PropertyKind.FOUR_BYTE
          ? body.u32()
          : body.variableByteInteger();
  if (value < spec.min || value > spec.max) {
    const code = spec.id === TOPIC_ALIAS ? ReasonCode.TOPIC_ALIAS_INVALID : ReasonCode.PROTOCOL_ERROR;
    body.fail(code, `${spec.name} is ${value}`);
  }
  return value;
}

/** The size of the properties that `packet` may carry, without the section's own length. Others are left out. */
export function propertiesSize(properties: Properties | undefined, packet: number): number {
  if (properties === undefined) return 0;
  const specs = PROPERTIES_OF_PACKET[packet] as readonly PropertySpec[];
  let size = 0;
  for (let i = 0; i < specs.length; i++) {
    const spec = specs[i] as PropertySpec;
    const value = properties[spec.name];
    if (value !== undefined) size += valueSize(spec, value);
  }
  return size;
}

function valueSize(spec: PropertySpec, value: NonNullable<Properties[keyof Properties]>): number {
  switch (spec.kind) {
    case PropertyKind.BYTE:
      return 2;
    case PropertyKind.TWO_BYTE:
      return 3;
    case PropertyKind.FOUR_BYTE:
      return 5;
    case PropertyKind.VARIABLE:
      return subscriptionIdentifiersSize(value as number[]);
    case PropertyKind.BINARY:
      return 1 + binarySize(value as Uint8Array);
    case PropertyKind.STRING_PAIR:
      return userPropertiesSize(value as string[]);
    default:
      return 1 + utf8Size(value as string);
  }
}

/** Writes the section with its length, which `propertiesSize` gave; returns the offset behind it. */
export function writeProperties(
  bytes: TextBytes,
  at: number,
  properties: Properties | undefined,
  packet: number,
  size: number,
): number {
  let next = writeVariableByteInteger(bytes, at, size);
  if (properties === undefined || size === 0) return next;
  const specs = PROPERTIES_OF_PACKET[packet] as readonly PropertySpec[];
  for (let i = 0; i < specs.length; i++) {
    const spec = specs[i] as PropertySpec;
    const value = properties[spec.name];
    if (value !== undefined) next = writeValue(bytes, next, spec, value);
  }
  return next;
}

function writeValue(
  bytes: TextBytes,
  at: number,
  spec: PropertySpec,
  value: NonNullable<Properties[keyof Properties]>,
): number {
  switch (spec.kind) {
    case PropertyKind.VARIABLE:
      return writeSubscriptionIdentifiers(bytes, at, value as number[]);
    case PropertyKind.STRING_PAIR:
      return writeUserProperties(bytes, at, value as string[]);
  }
  bytes[at] = spec.id;
  switch (spec.kind) {
    case PropertyKind.BYTE:
      bytes[at + 1] = value as number;
      return at + 2;
    case PropertyKind.TWO_BYTE:
      return writeU16(bytes, at + 1, value as number);
    case PropertyKind.FOUR_BYTE:
      return writeU32(bytes, at + 1, value as number);
    case PropertyKind.BINARY:
      return writeBinary(bytes, at + 1, value as Uint8Array);
    default:
      return writeUtf8(bytes, at + 1, value as string);
  }
}

export function writeU16(bytes: Uint8Array, at: number, value: number): number {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value & 0xff;
  return at + 2;
}

export function writeU32(bytes: Uint8Array, at: number, value: number): number {
  bytes[at] = value >>> 24;
  bytes[at + 1] = (value >>> 16) & 0xff;
  bytes[at + 2] = (value >>> 8) & 0xff;
  bytes[at + 3] = value & 0xff;
  return at + 4;
}

export function userPropertiesSize(pairs: string[]): number {
  let size = 0;
  for (let i = 0; i + 1 < pairs.length; i += 2)
    size += 1 + utf8Size(pairs[i] as string) + utf8Size(pairs[i + 1] as string);
  return size;
}

export function writeUserProperties(bytes: TextBytes, at: number, pairs: string[]): number {
  let next = at;
  for (let i = 0; i + 1 < pairs.length; i += 2) {
    bytes[next] = USER_PROPERTY;
    next = writeUtf8(bytes, next + 1, pairs[i] as string);
    next = writeUtf8(bytes, next, pairs[i + 1] as string);
  }
  return next;
}

export function subscriptionIdentifiersSize(identifiers: number[]): number {
  let size = 0;
  for (let i = 0; i < identifiers.length; i++) size += 1 + variableByteIntegerSize(identifiers[i] as number);
  return size;
}

export function writeSubscriptionIdentifiers(bytes: Uint8Array, at: number, identifiers: number[]): number {
  let next = at;
  for (let i = 0; i < identifiers.length; i++) {
    bytes[next] = SUBSCRIPTION_IDENTIFIER;
    next = writeVariableByteInteger(bytes, next + 1, identifiers[i] as number);
  }
  return next;
}
