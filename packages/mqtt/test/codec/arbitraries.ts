import fc from 'fast-check';
import type { Packet, Properties, ProtocolVersion, QoS } from '../../src/codec/packet.ts';
import { PacketType } from '../../src/codec/packet.ts';

/** Every packet that MQTT allows one side to send, as values. Deliberately not derived from the codec's own tables. */
export type Sender = 'client' | 'server';

const ascii = fc.string({ unit: 'grapheme-ascii', maxLength: 24 });
const unicode = fc.string({ unit: 'binary', maxLength: 12 }).map((text) => text.replaceAll('\0', '\u{fffd}'));
const text = fc.oneof(ascii, unicode, fc.constantFrom('', 'ü', 'plant/7', '__proto__', 'constructor', '\u{feff}bom'));
const bytes = fc.uint8Array({ maxLength: 40 });
const qos = fc.constantFrom<QoS>(0, 1, 2);
const bit = fc.constantFrom<0 | 1>(0, 1);
const u16 = fc.integer({ min: 0, max: 0xffff });
const u16AtLeast1 = fc.integer({ min: 1, max: 0xffff });
const u32 = fc.oneof(fc.integer({ min: 0, max: 0xffff_ffff }), fc.constantFrom(0, 0x7fff_ffff, 0x8000_0000));
const subscriptionIdentifier = fc.oneof(
  fc.integer({ min: 1, max: 0x0fff_ffff }),
  fc.constantFrom(1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 268_435_455),
);

const level = text.map((each) => each.replace(/[+#/\0]/g, ''));
const topicName = fc
  .array(level, { minLength: 1, maxLength: 5 })
  .map((levels) => levels.join('/'))
  .filter((topic) => topic !== '');
const plainFilter = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 4 }), fc.option(fc.constant('#'), { nil: undefined }))
  .map(([levels, last]) => (last === undefined ? levels : [...levels, last]).join('/'))
  .filter((filter) => filter !== '' && !filter.startsWith('$share/'));
const shareName = level.filter((name) => name !== '');
const sharedFilter = fc.tuple(shareName, plainFilter).map(([name, filter]) => `$share/${name}/${filter}`);
const topicFilter = fc.oneof(plainFilter, sharedFilter);

const PROPERTIES: { [name in keyof Required<Properties>]: fc.Arbitrary<Required<Properties>[name]> } = {
  payloadFormatIndicator: bit,
  messageExpiryIntervalS: u32,
  contentType: text,
  responseTopic: topicName,
  correlationData: bytes,
  subscriptionIdentifiers: fc.array(subscriptionIdentifier, { minLength: 1, maxLength: 3 }),
  sessionExpiryIntervalS: u32,
  assignedClientIdentifier: text,
  serverKeepAliveS: u16,
  authenticationMethod: text,
  authenticationData: bytes,
  requestProblemInformation: bit,
  willDelayIntervalS: u32,
  requestResponseInformation: bit,
  responseInformation: text,
  serverReference: text,
  reasonString: text,
  receiveMaximum: u16AtLeast1,
  topicAliasMaximum: u16,
  topicAlias: u16AtLeast1,
  maximumQoS: bit,
  retainAvailable: bit,
  userProperties: fc.array(fc.tuple(text, text), { minLength: 1, maxLength: 4 }).map((pairs) => pairs.flat()),
  maximumPacketSizeBytes: fc.integer({ min: 1, max: 0xffff_ffff }),
  wildcardSubscriptionAvailable: bit,
  subscriptionIdentifierAvailable: bit,
  sharedSubscriptionAvailable: bit,
};

/** Any subset of these; undefined instead of none, and in 3.1.1. */
function properties(version: ProtocolVersion, ...names: (keyof Properties)[]): fc.Arbitrary<Properties | undefined> {
  if (version === 4) return fc.constant(undefined);
  const chosen = Object.fromEntries(names.map((name) => [name, PROPERTIES[name]]));
  return fc
    .record<Properties>(chosen as { [name in keyof Properties]: fc.Arbitrary<Properties[name]> }, { requiredKeys: [] })
    .map((record) => {
      // Authentication data needs a method.
      const { authenticationData, ...rest } = record;
      const kept = record.authenticationMethod === undefined ? rest : record;
      return Object.keys(kept).length === 0 ? undefined : { ...kept };
    });
}

const WILL_PROPERTIES: (keyof Properties)[] = [
  'willDelayIntervalS',
  'payloadFormatIndicator',
  'messageExpiryIntervalS',
  'contentType',
  'responseTopic',
  'correlationData',
  'userProperties',
];

function connect(version: ProtocolVersion): fc.Arbitrary<Packet> {
  const credentials = fc.oneof(
    fc.constant({ username: undefined, password: undefined }),
    fc.record({ username: text, password: fc.option(bytes, { nil: undefined }) }),
    ...(version === 5 ? [fc.record({ username: fc.constant(undefined), password: bytes })] : []),
  );
  const will = fc.record({
    topic: topicName,
    payload: bytes,
    qos,
    retain: fc.boolean(),
    properties: properties(version, ...WILL_PROPERTIES),
  });
  return fc
    .record({
      clientId: text,
      cleanStart: fc.boolean(),
      keepAliveS: u16,
      credentials,
      will: fc.option(will, { nil: undefined }),
      properties: properties(
        version,
        'sessionExpiryIntervalS',
        'receiveMaximum',
        'maximumPacketSizeBytes',
        'topicAliasMaximum',
        'requestResponseInformation',
        'requestProblemInformation',
        'userProperties',
        'authenticationMethod',
        'authenticationData',
      ),
    })
    .map(({ credentials: { username, password }, ...rest }) => ({
      type: PacketType.CONNECT,
      protocolVersion: version,
      username,
      password,
      ...rest,
      cleanStart: rest.cleanStart || (version === 4 && rest.clientId === ''),
    }));
}

function connack(version: ProtocolVersion): fc.Arbitrary<Packet> {
  const refusals = version === 4 ? [1, 2, 3, 4, 5] : [0x80, 0x81, 0x84, 0x85, 0x87, 0x8c, 0x95, 0x9f];
  const outcome = fc.oneof(
    fc.record({ sessionPresent: fc.boolean(), reasonCode: fc.constant(0) }),
    fc.record({ sessionPresent: fc.constant(false), reasonCode: fc.constantFrom(...refusals) }),
  );
  const some = properties(
    version,
    'sessionExpiryIntervalS',
    'receiveMaximum',
    'maximumQoS',
    'retainAvailable',
    'maximumPacketSizeBytes',
    'assignedClientIdentifier',
    'topicAliasMaximum',
    'reasonString',
    'userProperties',
    'wildcardSubscriptionAvailable',
    'subscriptionIdentifierAvailable',
    'sharedSubscriptionAvailable',
    'serverKeepAliveS',
    'responseInformation',
    'serverReference',
    'authenticationMethod',
    'authenticationData',
  );
  return fc.tuple(outcome, some).map(([result, each]) => ({ type: PacketType.CONNACK, ...result, properties: each }));
}

function publish(version: ProtocolVersion, sender: Sender, payload = bytes): fc.Arbitrary<Packet> {
  const names: (keyof Properties)[] = [
    'payloadFormatIndicator',
    'messageExpiryIntervalS',
    'topicAlias',
    'responseTopic',
    'correlationData',
    'userProperties',
    'contentType',
  ];
  if (sender === 'server') names.push('subscriptionIdentifiers');
  return fc
    .record({
      topic: topicName,
      aliasOnly: fc.boolean(),
      payload,
      qos,
      retain: fc.boolean(),
      dup: fc.boolean(),
      packetId: u16AtLeast1,
      properties: properties(version, ...names),
    })
    .map(({ aliasOnly, ...each }) => ({
      type: PacketType.PUBLISH,
      ...each,
      topic: aliasOnly && each.properties?.topicAlias !== undefined ? '' : each.topic,
      dup: each.qos > 0 && each.dup,
      packetId: each.qos > 0 ? each.packetId : 0,
    }));
}

function ack(version: ProtocolVersion): fc.Arbitrary<Packet> {
  const { PUBACK, PUBREC, PUBREL, PUBCOMP } = PacketType;
  const some = properties(version, 'reasonString', 'userProperties');
  const of = (types: (typeof PUBACK | typeof PUBREC | typeof PUBREL | typeof PUBCOMP)[], codes: number[]) =>
    fc.record({
      type: fc.constantFrom(...types),
      packetId: u16AtLeast1,
      reasonCode: version === 4 ? fc.constant(0) : fc.constantFrom(...codes),
      properties: some,
    });
  return fc.oneof(
    of([PUBACK, PUBREC], [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]),
    of([PUBREL, PUBCOMP], [0x00, 0x92]),
  );
}

function subscribe(version: ProtocolVersion): fc.Arbitrary<Packet> {
  const options =
    version === 4
      ? { noLocal: fc.constant(false), retainAsPublished: fc.constant(false), retainHandling: fc.constant<0>(0) }
      : { noLocal: fc.boolean(), retainAsPublished: fc.boolean(), retainHandling: fc.constantFrom<0 | 1 | 2>(0, 1, 2) };
  const subscription = fc
    .record({ filter: topicFilter, qos, ...options })
    .map((each) => ({ ...each, noLocal: each.noLocal && !each.filter.startsWith('$share/') }));
  return fc.record({
    type: fc.constant(PacketType.SUBSCRIBE),
    packetId: u16AtLeast1,
    subscriptions: fc.array(subscription, { minLength: 1, maxLength: 5 }),
    properties: properties(version, 'subscriptionIdentifiers', 'userProperties').map((each) =>
      each?.subscriptionIdentifiers === undefined
        ? each
        : { ...each, subscriptionIdentifiers: each.subscriptionIdentifiers.slice(0, 1) },
    ),
  });
}

function unsubscribe(version: ProtocolVersion): fc.Arbitrary<Packet> {
  return fc.record({
    type: fc.constant(PacketType.UNSUBSCRIBE),
    packetId: u16AtLeast1,
    filters: fc.array(topicFilter, { minLength: 1, maxLength: 5 }),
    properties: properties(version, 'userProperties'),
  });
}

function suback(version: ProtocolVersion): fc.Arbitrary<Packet> {
  const codes = version === 4 ? [0, 1, 2, 0x80] : [0, 1, 2, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2];
  return fc.record({
    type: fc.constant(PacketType.SUBACK),
    packetId: u16AtLeast1,
    reasonCodes: fc.array(fc.constantFrom(...codes), { minLength: 1, maxLength: 5 }),
    properties: properties(version, 'reasonString', 'userProperties'),
  });
}

function unsuback(version: ProtocolVersion): fc.Arbitrary<Packet> {
  const codes = fc.array(fc.constantFrom(0, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91), { minLength: 1, maxLength: 5 });
  return fc.record({
    type: fc.constant(PacketType.UNSUBACK),
    packetId: u16AtLeast1,
    reasonCodes: version === 4 ? fc.constant<number[]>([]) : codes,
    properties: properties(version, 'reasonString', 'userProperties'),
  });
}

function disconnect(version: ProtocolVersion, sender: Sender): fc.Arbitrary<Packet> {
  const codes = sender === 'client' ? [0x00, 0x04, 0x80, 0x81, 0x99] : [0x00, 0x81, 0x87, 0x8b, 0x8e, 0x9d, 0xa2];
  const expiry: keyof Properties = sender === 'client' ? 'sessionExpiryIntervalS' : 'serverReference';
  return fc.record({
    type: fc.constant(PacketType.DISCONNECT),
    reasonCode: version === 4 ? fc.constant(0) : fc.constantFrom(...codes),
    properties: properties(version, 'reasonString', 'userProperties', expiry),
  });
}

function auth(sender: Sender): fc.Arbitrary<Packet> {
  const some = fc
    .tuple(properties(5, 'authenticationData', 'reasonString', 'userProperties'), text, bytes)
    .map(([each, authenticationMethod, authenticationData]) => ({ ...each, authenticationMethod, authenticationData }));
  return fc.record({
    type: fc.constant(PacketType.AUTH),
    reasonCode: fc.constantFrom(0x18, sender === 'client' ? 0x19 : 0x00),
    properties: some,
  });
}

/** Whatever `sender` may send once connected; a client's CONNECT stands apart in `connectPacket`. */
export function packetFrom(sender: Sender, version: ProtocolVersion): fc.Arbitrary<Packet> {
  const common = [publish(version, sender), ack(version), disconnect(version, sender)];
  if (version === 5) common.push(auth(sender));
  const { PINGREQ, PINGRESP } = PacketType;
  return sender === 'client'
    ? fc.oneof(...common, subscribe(version), unsubscribe(version), fc.constant<Packet>({ type: PINGREQ }))
    : fc.oneof(
        ...common,
        connack(version),
        suback(version),
        unsuback(version),
        fc.constant<Packet>({ type: PINGRESP }),
      );
}

export const connectPacket = connect;
