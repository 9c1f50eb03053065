/**
 * MQTT control packets as values. One shape a packet type for both protocol versions: 3.1.1 leaves `properties`
 * undefined and reason codes 0. A decoder yields only packets that the specification allows; an encoder trusts them.
 * No object here is ever keyed by what a client sent.
 */
export const PacketType = {
  CONNECT: 1,
  CONNACK: 2,
  PUBLISH: 3,
  PUBACK: 4,
  PUBREC: 5,
  PUBREL: 6,
  PUBCOMP: 7,
  SUBSCRIBE: 8,
  SUBACK: 9,
  UNSUBSCRIBE: 10,
  UNSUBACK: 11,
  PINGREQ: 12,
  PINGRESP: 13,
  DISCONNECT: 14,
  AUTH: 15,
} as const;
export type PacketType = (typeof PacketType)[keyof typeof PacketType];

/** What is spoken on the wire: 4 is MQTT 3.1.1, and 3.1, which differs from it in its CONNECT and in little else. */
export type ProtocolVersion = 4 | 5;
export type QoS = 0 | 1 | 2;

/** Properties of every packet, MQTT 5 section 2.2.2.2. Absent means absent on the wire. */
export interface Properties {
  payloadFormatIndicator?: 0 | 1;
  messageExpiryIntervalS?: number;
  contentType?: string;
  responseTopic?: string;
  correlationData?: Uint8Array;
  /** PUBLISH to a client may carry several; SUBSCRIBE carries one. */
  subscriptionIdentifiers?: number[];
  sessionExpiryIntervalS?: number;
  assignedClientIdentifier?: string;
  serverKeepAliveS?: number;
  authenticationMethod?: string;
  authenticationData?: Uint8Array;
  requestProblemInformation?: 0 | 1;
  willDelayIntervalS?: number;
  requestResponseInformation?: 0 | 1;
  responseInformation?: string;
  serverReference?: string;
  reasonString?: string;
  receiveMaximum?: number;
  topicAliasMaximum?: number;
  topicAlias?: number;
  maximumQoS?: 0 | 1;
  retainAvailable?: 0 | 1;
  /** Name, value, name, value, …: order and repetition are part of the message [MQTT-3.3.2-18]. */
  userProperties?: string[];
  maximumPacketSizeBytes?: number;
  wildcardSubscriptionAvailable?: 0 | 1;
  subscriptionIdentifierAvailable?: 0 | 1;
  sharedSubscriptionAvailable?: 0 | 1;
}

export interface Will {
  topic: string;
  payload: Uint8Array;
  qos: QoS;
  retain: boolean;
  properties?: Properties;
}

export interface ConnectPacket {
  type: typeof PacketType.CONNECT;
  protocolVersion: ProtocolVersion;
  /** `MQIsdp`, level 3. */
  isMqtt31?: true;
  clientId: string;
  cleanStart: boolean;
  keepAliveS: number;
  username?: string;
  password?: Uint8Array;
  will?: Will;
  properties?: Properties;
}
export interface ConnackPacket {
  type: typeof PacketType.CONNACK;
  sessionPresent: boolean;
  /** MQTT 5 reason code, or the 3.1.1 return code 0–5. */
  reasonCode: number;
  properties?: Properties;
}
export interface PublishPacket {
  type: typeof PacketType.PUBLISH;
  topic: string;
  /** A view into the receive buffer: copy it if it outlives the turn. */
  payload: Uint8Array;
  qos: QoS;
  retain: boolean;
  dup: boolean;
  /** 0 at QoS 0. */
  packetId: number;
  properties?: Properties;
  /**
   * The payload is the end of a buffer that has nothing else than this packet, with room before it: it may be kept, and who
   * keeps it may write in front of it. What is a view and lies there is the correlation data only.
   */
  ownsBuffer?: true;
}
export interface AckPacket {
  type: typeof PacketType.PUBACK | typeof PacketType.PUBREC | typeof PacketType.PUBREL | typeof PacketType.PUBCOMP;
  packetId: number;
  reasonCode: number;
  properties?: Properties;
}
export interface Subscription {
  filter: string;
  qos: QoS;
  noLocal: boolean;
  retainAsPublished: boolean;
  retainHandling: 0 | 1 | 2;
}
export interface SubscribePacket {
  type: typeof PacketType.SUBSCRIBE;
  packetId: number;
  subscriptions: Subscription[];
  properties?: Properties;
}
export interface SubackPacket {
  type: typeof PacketType.SUBACK;
  packetId: number;
  reasonCodes: number[];
  properties?: Properties;
}
export interface UnsubscribePacket {
  type: typeof PacketType.UNSUBSCRIBE;
  packetId: number;
  filters: string[];
  properties?: Properties;
}
export interface UnsubackPacket {
  type: typeof PacketType.UNSUBACK;
  packetId: number;
  /** Empty in 3.1.1, whose UNSUBACK has no payload. */
  reasonCodes: number[];
  properties?: Properties;
}
export interface PingPacket {
  type: typeof PacketType.PINGREQ | typeof PacketType.PINGRESP;
}
export interface DisconnectPacket {
  type: typeof PacketType.DISCONNECT;
  reasonCode: number;
  properties?: Properties;
}
export interface AuthPacket {
  type: typeof PacketType.AUTH;
  reasonCode: number;
  properties?: Properties;
}

export type Packet =
  | ConnectPacket
  | ConnackPacket
  | PublishPacket
  | AckPacket
  | SubscribePacket
  | SubackPacket
  | UnsubscribePacket
  | UnsubackPacket
  | PingPacket
  | DisconnectPacket
  | AuthPacket;
