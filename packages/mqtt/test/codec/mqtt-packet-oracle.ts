import type { Packet, Properties, ProtocolVersion } from '../../src/codec/packet.ts';
import { PacketType } from '../../src/codec/packet.ts';

/**
 * Our packets in the words of mqtt-packet, which every JavaScript client speaks. It serves as both: what its generator
 * is given, and (after `theirsParsed`) what its parser is expected to give.
 */
type Theirs = Record<string, unknown>;

const NAMES: { [name in keyof Required<Properties>]: string } = {
  payloadFormatIndicator: 'payloadFormatIndicator',
  messageExpiryIntervalS: 'messageExpiryInterval',
  contentType: 'contentType',
  responseTopic: 'responseTopic',
  correlationData: 'correlationData',
  subscriptionIdentifiers: 'subscriptionIdentifier',
  sessionExpiryIntervalS: 'sessionExpiryInterval',
  assignedClientIdentifier: 'assignedClientIdentifier',
  serverKeepAliveS: 'serverKeepAlive',
  authenticationMethod: 'authenticationMethod',
  authenticationData: 'authenticationData',
  requestProblemInformation: 'requestProblemInformation',
  willDelayIntervalS: 'willDelayInterval',
  requestResponseInformation: 'requestResponseInformation',
  responseInformation: 'responseInformation',
  serverReference: 'serverReference',
  reasonString: 'reasonString',
  receiveMaximum: 'receiveMaximum',
  topicAliasMaximum: 'topicAliasMaximum',
  topicAlias: 'topicAlias',
  maximumQoS: 'maximumQoS',
  retainAvailable: 'retainAvailable',
  userProperties: 'userProperties',
  maximumPacketSizeBytes: 'maximumPacketSize',
  wildcardSubscriptionAvailable: 'wildcardSubscriptionAvailable',
  subscriptionIdentifierAvailable: 'subscriptionIdentifiersAvailable',
  sharedSubscriptionAvailable: 'sharedSubscriptionAvailable',
};

/** Bytes that mqtt-packet takes and gives as booleans. */
const BOOLEANS: ReadonlySet<string> = new Set([
  'payloadFormatIndicator',
  'requestProblemInformation',
  'requestResponseInformation',
  'retainAvailable',
  'wildcardSubscriptionAvailable',
  'subscriptionIdentifierAvailable',
  'sharedSubscriptionAvailable',
]);

const bytes = (value: Uint8Array): Buffer => Buffer.from(value);

function theirProperties(properties: Properties | undefined): { properties?: Theirs } {
  if (properties === undefined) return {};
  const theirs: Theirs = {};
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined) continue;
    const theirName = NAMES[name as keyof Properties];
    if (BOOLEANS.has(name)) theirs[theirName] = value === 1;
    else if (value instanceof Uint8Array) theirs[theirName] = bytes(value);
    else if (name === 'userProperties') theirs[theirName] = byName(value as string[]);
    else if (name === 'subscriptionIdentifiers') {
      const ids = value as number[];
      theirs[theirName] = ids.length === 1 ? ids[0] : ids;
    } else theirs[theirName] = value;
  }
  return { properties: theirs };
}

/** Its user properties are an object: order across names is lost, which is why ours are a list. */
export function byName(pairs: string[]): Record<string, string | string[]> {
  const names: Record<string, string | string[]> = Object.create(null);
  for (let i = 0; i < pairs.length; i += 2) {
    const name = pairs[i] as string;
    const value = pairs[i + 1] as string;
    const known = names[name];
    names[name] = known === undefined ? value : [...(Array.isArray(known) ? known : [known]), value];
  }
  return names;
}

const COMMANDS = {
  [PacketType.CONNECT]: 'connect',
  [PacketType.CONNACK]: 'connack',
  [PacketType.PUBLISH]: 'publish',
  [PacketType.PUBACK]: 'puback',
  [PacketType.PUBREC]: 'pubrec',
  [PacketType.PUBREL]: 'pubrel',
  [PacketType.PUBCOMP]: 'pubcomp',
  [PacketType.SUBSCRIBE]: 'subscribe',
  [PacketType.SUBACK]: 'suback',
  [PacketType.UNSUBSCRIBE]: 'unsubscribe',
  [PacketType.UNSUBACK]: 'unsuback',
  [PacketType.PINGREQ]: 'pingreq',
  [PacketType.PINGRESP]: 'pingresp',
  [PacketType.DISCONNECT]: 'disconnect',
  [PacketType.AUTH]: 'auth',
} as const;

export function toTheirs(packet: Packet, version: ProtocolVersion): Theirs {
  const cmd = COMMANDS[packet.type];
  switch (packet.type) {
    case PacketType.CONNECT: {
      const { clientId, cleanStart, keepAliveS, username, password, will, properties } = packet;
      return {
        cmd,
        protocolId: 'MQTT',
        protocolVersion: version,
        clientId,
        clean: cleanStart,
        keepalive: keepAliveS,
        ...(username === undefined ? {} : { username }),
        ...(password === undefined ? {} : { password: bytes(password) }),
        ...(will === undefined
          ? {}
          : {
              will: {
                topic: will.topic,
                payload: bytes(will.payload),
                qos: will.qos,
                retain: will.retain,
                ...theirProperties(will.properties),
              },
            }),
        ...theirProperties(properties),
      };
    }
    case PacketType.CONNACK: {
      const { sessionPresent, reasonCode, properties } = packet;
      const code = version === 5 ? { reasonCode } : { returnCode: reasonCode };
      return { cmd, sessionPresent, ...code, ...theirProperties(properties) };
    }
    case PacketType.PUBLISH: {
      const { topic, payload, qos, retain, dup, packetId, properties } = packet;
      const id = qos === 0 ? {} : { messageId: packetId };
      return { cmd, topic, payload: bytes(payload), qos, retain, dup, ...id, ...theirProperties(properties) };
    }
    case PacketType.SUBSCRIBE: {
      const subscriptions = packet.subscriptions.map(({ filter, qos, noLocal, retainAsPublished, retainHandling }) =>
        version === 5
          ? { topic: filter, qos, nl: noLocal, rap: retainAsPublished, rh: retainHandling }
          : { topic: filter, qos },
      );
      return { cmd, messageId: packet.packetId, subscriptions, ...theirProperties(packet.properties) };
    }
    case PacketType.UNSUBSCRIBE:
      return {
        cmd,
        messageId: packet.packetId,
        unsubscriptions: packet.filters,
        ...theirProperties(packet.properties),
      };
    case PacketType.SUBACK:
    case PacketType.UNSUBACK: {
      const granted = packet.reasonCodes.length === 0 ? {} : { granted: packet.reasonCodes };
      return { cmd, messageId: packet.packetId, ...granted, ...theirProperties(packet.properties) };
    }
    case PacketType.PINGREQ:
    case PacketType.PINGRESP:
      return { cmd };
    case PacketType.DISCONNECT:
    case PacketType.AUTH:
      return {
        cmd,
        ...(version === 5 ? { reasonCode: packet.reasonCode } : {}),
        ...theirProperties(packet.properties),
      };
    default:
      return {
        cmd,
        messageId: packet.packetId,
        ...(version === 5 ? { reasonCode: packet.reasonCode } : {}),
        ...theirProperties(packet.properties),
      };
  }
}

/** What its parser adds to every packet, and fixed header flags where they mean nothing. */
export function theirsParsed(packet: object): Theirs {
  const fields: Theirs = { ...packet };
  delete fields.length;
  if (fields.cmd !== 'publish') {
    delete fields.topic;
    delete fields.payload;
    delete fields.qos;
    delete fields.retain;
    delete fields.dup;
  }
  for (const [name, value] of Object.entries(fields)) if (value === undefined || value === null) delete fields[name];
  return fields;
}
