import type { Properties } from './packet.ts';
import { PacketType } from './packet.ts';

/**
 * MQTT 5 section 2.2.2.2 as data: what each property is made of, where it may stand, and which values it may have.
 * Wills carry properties of their own, so they count as one more packet type.
 */
export const WILL = 0;

export const PropertyKind = {
  BYTE: 0,
  TWO_BYTE: 1,
  FOUR_BYTE: 2,
  VARIABLE: 3,
  STRING: 4,
  BINARY: 5,
  STRING_PAIR: 6,
  TOPIC: 7,
} as const;
export type PropertyKind = (typeof PropertyKind)[keyof typeof PropertyKind];

export interface PropertySpec {
  readonly id: number;
  readonly name: keyof Properties;
  readonly kind: PropertyKind;
  /** Bit n: allowed in packet type n. */
  readonly packets: number;
  readonly min: number;
  readonly max: number;
  /** This property's bit in the set of those seen. */
  readonly bit: number;
}

const { BYTE, TWO_BYTE, FOUR_BYTE, VARIABLE, STRING, BINARY, STRING_PAIR, TOPIC } = PropertyKind;
const { CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP } = PacketType;
const { SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, DISCONNECT, AUTH } = PacketType;
const ACKS = [PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK];
const EVERYWHERE = [WILL, CONNECT, CONNACK, PUBLISH, ...ACKS, SUBSCRIBE, UNSUBSCRIBE, DISCONNECT, AUTH];

type Row = [id: number, name: keyof Properties, kind: PropertyKind, packets: number[], min?: number, max?: number];
const ROWS: Row[] = [
  [0x01, 'payloadFormatIndicator', BYTE, [PUBLISH, WILL], 0, 1],
  [0x02, 'messageExpiryIntervalS', FOUR_BYTE, [PUBLISH, WILL]],
  [0x03, 'contentType', STRING, [PUBLISH, WILL]],
  [0x08, 'responseTopic', TOPIC, [PUBLISH, WILL]],
  [0x09, 'correlationData', BINARY, [PUBLISH, WILL]],
  [0x0b, 'subscriptionIdentifiers', VARIABLE, [PUBLISH, SUBSCRIBE], 1],
  [0x11, 'sessionExpiryIntervalS', FOUR_BYTE, [CONNECT, CONNACK, DISCONNECT]],
  [0x12, 'assignedClientIdentifier', STRING, [CONNACK]],
  [0x13, 'serverKeepAliveS', TWO_BYTE, [CONNACK]],
  [0x15, 'authenticationMethod', STRING, [CONNECT, CONNACK, AUTH]],
  [0x16, 'authenticationData', BINARY, [CONNECT, CONNACK, AUTH]],
  [0x17, 'requestProblemInformation', BYTE, [CONNECT], 0, 1],
  [0x18, 'willDelayIntervalS', FOUR_BYTE, [WILL]],
  [0x19, 'requestResponseInformation', BYTE, [CONNECT], 0, 1],
  [0x1a, 'responseInformation', STRING, [CONNACK]],
  [0x1c, 'serverReference', STRING, [CONNACK, DISCONNECT]],
  [0x1f, 'reasonString', STRING, [CONNACK, ...ACKS, DISCONNECT, AUTH]],
  [0x21, 'receiveMaximum', TWO_BYTE, [CONNECT, CONNACK], 1],
  [0x22, 'topicAliasMaximum', TWO_BYTE, [CONNECT, CONNACK]],
  [0x23, 'topicAlias', TWO_BYTE, [PUBLISH], 1],
  [0x24, 'maximumQoS', BYTE, [CONNACK], 0, 1],
  [0x25, 'retainAvailable', BYTE, [CONNACK], 0, 1],
  [0x26, 'userProperties', STRING_PAIR, EVERYWHERE],
  [0x27, 'maximumPacketSizeBytes', FOUR_BYTE, [CONNECT, CONNACK], 1],
  [0x28, 'wildcardSubscriptionAvailable', BYTE, [CONNACK], 0, 1],
  [0x29, 'subscriptionIdentifierAvailable', BYTE, [CONNACK], 0, 1],
  [0x2a, 'sharedSubscriptionAvailable', BYTE, [CONNACK], 0, 1],
];

export const USER_PROPERTY = 0x26;
export const SUBSCRIPTION_IDENTIFIER = 0x0b;
export const TOPIC_ALIAS = 0x23;

/** In ascending order of identifiers, which is also the order an encoder writes them in. */
export const PROPERTY_SPECS: readonly PropertySpec[] = ROWS.map(([id, name, kind, packets, min, max], index) => ({
  id,
  name,
  kind,
  packets: packets.reduce<number>((bits, type) => bits | (1 << type), 0),
  min: min ?? 0,
  max: max ?? 0xffff_ffff,
  bit: 1 << index,
}));

/** By identifier; undefined where MQTT defines none. */
export const PROPERTY_BY_ID: readonly (PropertySpec | undefined)[] = Array.from({ length: 0x2b }, (_, id) =>
  PROPERTY_SPECS.find((spec) => spec.id === id),
);

/** By packet type, `WILL` included. */
export const PROPERTIES_OF_PACKET: readonly (readonly PropertySpec[])[] = Array.from({ length: 16 }, (_, type) =>
  PROPERTY_SPECS.filter((spec) => (spec.packets & (1 << type)) !== 0),
);
