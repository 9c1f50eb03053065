import type { QoS, SubackPacket, SubscribePacket, Subscription, UnsubackPacket, UnsubscribePacket } from './packet.ts';
import { PacketType } from './packet.ts';
import type { PacketBody } from './packet-body.ts';
import { decodeProperties } from './properties.ts';
import { ReasonCode } from './reason-code.ts';
import { SUBACK_REASON_CODES, SUBACK_RETURN_CODES, UNSUBACK_REASON_CODES } from './reason-code-table.ts';
import { isSharedFilter, readTopicFilter } from './topic-syntax.ts';

/** SUBSCRIBE, UNSUBSCRIBE and their answers, MQTT 5 sections 3.8 to 3.11. */
const NO_LOCAL = 0x04;
const RETAIN_AS_PUBLISHED = 0x08;

export function decodeSubscribe(body: PacketBody): SubscribePacket {
  const packetId = body.packetId();
  const properties = body.version === 5 ? decodeProperties(body, PacketType.SUBSCRIBE) : undefined;
  const subscriptions: Subscription[] = [];
  while (body.at < body.end) {
    if (subscriptions.length >= body.limits.filtersMax) refuseTooMany(body);
    subscriptions.push(readSubscription(body));
  }
  if (subscriptions.length === 0) refuseNone(body, 'SUBSCRIBE without a topic filter [MQTT-3.8.3-2]');
  return { type: PacketType.SUBSCRIBE, packetId, subscriptions, properties };
}

function readSubscription(body: PacketBody): Subscription {
  const filter = readTopicFilter(body);
  const options = body.u8();
  const reserved = body.version === 5 ? 0xc0 : 0xfc;
  if ((options & reserved) !== 0) body.malformed('reserved subscription options [MQTT-3.8.3-5]');
  const qos = options & 3;
  if (qos === 3) body.protocolError('a subscription asks for QoS 3');
  const retainHandling = (options >>> 4) & 3;
  if (retainHandling === 3) body.protocolError('a subscription asks for retain handling 3');
  const noLocal = (options & NO_LOCAL) !== 0;
  if (noLocal && isSharedFilter(filter)) body.protocolError('no local on a shared subscription [MQTT-3.8.3-4]');
  return {
    filter,
    qos: qos as QoS,
    noLocal,
    retainAsPublished: (options & RETAIN_AS_PUBLISHED) !== 0,
    retainHandling: retainHandling as 0 | 1 | 2,
  };
}

export function decodeUnsubscribe(body: PacketBody): UnsubscribePacket {
  const packetId = body.packetId();
  const properties = body.version === 5 ? decodeProperties(body, PacketType.UNSUBSCRIBE) : undefined;
  const filters: string[] = [];
  while (body.at < body.end) {
    if (filters.length >= body.limits.filtersMax) refuseTooMany(body);
    filters.push(readTopicFilter(body));
  }
  if (filters.length === 0) refuseNone(body, 'UNSUBSCRIBE without a topic filter [MQTT-3.10.3-2]');
  return { type: PacketType.UNSUBSCRIBE, packetId, filters, properties };
}

export function decodeSuback(body: PacketBody): SubackPacket {
  const packetId = body.packetId();
  const properties = body.version === 5 ? decodeProperties(body, PacketType.SUBACK) : undefined;
  const reasonCodes = readReasonCodes(body, body.version === 5 ? SUBACK_REASON_CODES : SUBACK_RETURN_CODES);
  return { type: PacketType.SUBACK, packetId, reasonCodes, properties };
}

export function decodeUnsuback(body: PacketBody): UnsubackPacket {
  const packetId = body.packetId();
  if (body.version === 4) return { type: PacketType.UNSUBACK, packetId, reasonCodes: [], properties: undefined };
  const properties = decodeProperties(body, PacketType.UNSUBACK);
  const reasonCodes = readReasonCodes(body, UNSUBACK_REASON_CODES);
  return { type: PacketType.UNSUBACK, packetId, reasonCodes, properties };
}

function readReasonCodes(body: PacketBody, allowed: ReadonlySet<number>): number[] {
  const reasonCodes: number[] = [];
  while (body.at < body.end) {
    const code = body.u8();
    if (!allowed.has(code)) body.protocolError(`reason code ${code} does not belong here`);
    if (reasonCodes.length >= body.limits.filtersMax) refuseTooMany(body);
    reasonCodes.push(code);
  }
  if (reasonCodes.length === 0) body.protocolError('an acknowledgement without reason codes');
  return reasonCodes;
}

// The specification calls it a protocol error; 0x8F is what clients of other brokers are used to see.
function refuseNone(body: PacketBody, message: string): never {
  return body.fail(ReasonCode.TOPIC_FILTER_INVALID, message);
}

function refuseTooMany(body: PacketBody): never {
  return body.fail(ReasonCode.QUOTA_EXCEEDED, `more than ${body.limits.filtersMax} topic filters in one packet`);
}
