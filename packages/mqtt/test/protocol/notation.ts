import {
  type AckPacket,
  type ConnectPacket,
  type Packet,
  PacketType,
  type Properties,
  type PublishPacket,
  type QoS,
  type Subscription,
  type Will,
} from '../../src/codec/packet.ts';

/** Packets as words, for scripts: `PUBLISH t/1 hello q1 id=3 dup`, both ways. */
export function parsePacket(words: string[]): Packet {
  const [type, ...rest] = words;
  const flags = new Map<string, string>();
  const plain: string[] = [];
  for (const word of rest) {
    const equals = word.indexOf('=');
    if (equals > 0) flags.set(word.slice(0, equals), word.slice(equals + 1));
    else plain.push(word);
  }
  const number = (name: string): number | undefined => {
    const text = flags.get(name);
    return text === undefined ? undefined : Number(text);
  };
  switch (type) {
    case 'CONNECT':
      return connect(plain, flags, number);
    case 'PUBLISH':
      return publish(plain, flags, number);
    case 'PUBACK':
    case 'PUBREC':
    case 'PUBREL':
    case 'PUBCOMP':
      return {
        type: PacketType[type],
        packetId: Number(plain[0]),
        reasonCode: Number(plain[1] ?? 0),
      };
    case 'SUBSCRIBE': {
      const sid = number('sid');
      return {
        type: PacketType.SUBSCRIBE,
        packetId: Number(plain[0]),
        subscriptions: plain.slice(1).map(subscription),
        properties: sid === undefined ? undefined : { subscriptionIdentifiers: [sid] },
      };
    }
    case 'UNSUBSCRIBE':
      return { type: PacketType.UNSUBSCRIBE, packetId: Number(plain[0]), filters: plain.slice(1) };
    case 'PINGREQ':
      return { type: PacketType.PINGREQ };
    case 'DISCONNECT': {
      const expiry = number('expiry');
      return {
        type: PacketType.DISCONNECT,
        reasonCode: Number(plain[0] ?? 0),
        properties: expiry === undefined ? undefined : { sessionExpiryIntervalS: expiry },
      };
    }
    case 'AUTH':
      return {
        type: PacketType.AUTH,
        reasonCode: Number(plain[0] ?? 0),
        properties: {
          authenticationMethod: flags.get('method'),
          authenticationData: Buffer.from(flags.get('data') ?? ''),
        },
      };
    case 'CONNACK':
      return { type: PacketType.CONNACK, sessionPresent: false, reasonCode: 0 };
    default:
      throw new Error(`no packet in: ${words.join(' ')}`);
  }
}

type NumberOf = (name: string) => number | undefined;

function connect(plain: string[], flags: Map<string, string>, number: NumberOf): ConnectPacket {
  const v5 = plain[0] === 'v5';
  const properties: Properties = {};
  const set = <K extends keyof Properties>(name: K, value: Properties[K]): void => {
    if (value !== undefined) properties[name] = value;
  };
  set('sessionExpiryIntervalS', number('expiry'));
  set('receiveMaximum', number('rm'));
  set('maximumPacketSizeBytes', number('maxpacket'));
  set('topicAliasMaximum', number('aliases'));
  set('requestProblemInformation', number('rpi') as 0 | 1 | undefined);
  set('authenticationMethod', flags.get('authmethod'));
  const will = flags.get('will');
  return {
    type: PacketType.CONNECT,
    protocolVersion: v5 ? 5 : 4,
    clientId: flags.get('id') ?? '',
    cleanStart: number('clean') !== 0,
    keepAliveS: number('keepalive') ?? 0,
    username: flags.get('user'),
    will: will === undefined ? undefined : parseWill(will),
    properties: v5 ? properties : undefined,
  };
}

/** `topic:payload:q1:delay5:retain` */
function parseWill(text: string): Will {
  const [topic = '', payload = '', ...options] = text.split(':');
  const delay = options.find((option) => option.startsWith('delay'));
  return {
    topic,
    payload: Buffer.from(payload),
    qos: qosOf(options),
    retain: options.includes('retain'),
    properties: delay === undefined ? undefined : { willDelayIntervalS: Number(delay.slice(5)) },
  };
}

function publish(plain: string[], flags: Map<string, string>, number: NumberOf): PublishPacket {
  const [topic = '', payload = '', ...options] = plain;
  const properties: Properties = {};
  const alias = number('alias');
  if (alias !== undefined) properties.topicAlias = alias;
  const expiry = number('expiry');
  if (expiry !== undefined) properties.messageExpiryIntervalS = expiry;
  const sid = number('sid');
  if (sid !== undefined) properties.subscriptionIdentifiers = [sid];
  const user = flags.get('user');
  if (user !== undefined) properties.userProperties = user.split(':');
  return {
    type: PacketType.PUBLISH,
    topic: topic === '-' ? '' : topic,
    payload: Buffer.from(payload),
    qos: qosOf(options),
    retain: options.includes('retain'),
    dup: options.includes('dup'),
    packetId: number('id') ?? 0,
    properties: Object.keys(properties).length > 0 ? properties : undefined,
  };
}

/** `filter:q1:nl:rap:rh1` */
function subscription(text: string): Subscription {
  const [filter = '', ...options] = text.split(':');
  const handling = options.find((option) => option.startsWith('rh'));
  return {
    filter,
    qos: qosOf(options),
    noLocal: options.includes('nl'),
    retainAsPublished: options.includes('rap'),
    retainHandling: Number(handling?.slice(2) ?? 0) as 0 | 1 | 2,
  };
}

export function qosOf(options: readonly string[]): QoS {
  return options.includes('q2') ? 2 : options.includes('q1') ? 1 : 0;
}

const NAMES = new Map<number, string>(Object.entries(PacketType).map(([name, type]) => [type, name] as const));

export function formatPacket(packet: Packet): string {
  const words = [NAMES.get(packet.type) ?? '?'];
  switch (packet.type) {
    case PacketType.CONNACK:
      words.push(hex(packet.reasonCode), packet.sessionPresent ? 'present' : 'new');
      break;
    case PacketType.PUBLISH:
      words.push(packet.topic === '' ? '-' : packet.topic, Buffer.from(packet.payload).toString(), `q${packet.qos}`);
      if (packet.packetId !== 0) words.push(`id=${packet.packetId}`);
      if (packet.dup) words.push('dup');
      if (packet.retain) words.push('retain');
      break;
    case PacketType.PUBACK:
    case PacketType.PUBREC:
    case PacketType.PUBREL:
    case PacketType.PUBCOMP:
      words.push(String((packet as AckPacket).packetId), hex(packet.reasonCode));
      break;
    case PacketType.SUBACK:
    case PacketType.UNSUBACK:
      words.push(String(packet.packetId), ...packet.reasonCodes.map(hex));
      break;
    case PacketType.AUTH:
    case PacketType.DISCONNECT:
      words.push(hex(packet.reasonCode));
      break;
  }
  if ('properties' in packet && packet.properties !== undefined) words.push(...formatProperties(packet.properties));
  return words.join(' ');
}

/** What every CONNACK carries, in one word. */
const DEFAULTS: [keyof Properties, number][] = [
  ['receiveMaximum', 1024],
  ['maximumPacketSizeBytes', 10 * 1024 * 1024],
  ['topicAliasMaximum', 32],
  ['sharedSubscriptionAvailable', 1],
];

/** Reason strings are for people: scripts only show that there is one. */
function formatProperties(given: Properties): string[] {
  const words: string[] = [];
  const properties: Properties = { ...given };
  if (DEFAULTS.every(([name, value]) => properties[name] === value)) {
    words.push('default-limits');
    for (const [name] of DEFAULTS) delete properties[name];
  }
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined) continue;
    words.push(name === 'reasonString' ? 'reasonString' : `${name}=${Array.isArray(value) ? value.join(':') : value}`);
  }
  return words;
}

export function hex(code: number): string {
  return `0x${code.toString(16).padStart(2, '0')}`;
}
