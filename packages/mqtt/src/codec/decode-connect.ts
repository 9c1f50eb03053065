import type { ConnackPacket, ConnectPacket, QoS, Will } from './packet.ts';
import { PacketType } from './packet.ts';
import type { PacketBody } from './packet-body.ts';
import { decodeProperties } from './properties.ts';
import { WILL } from './property-table.ts';
import { ReasonCode } from './reason-code.ts';
import { CONNACK_REASON_CODES } from './reason-code-table.ts';
import { readTopicName } from './topic-syntax.ts';

/**
 * CONNECT and CONNACK, MQTT 5 sections 3.1 and 3.2. The CONNECT decides the version of everything that follows; the
 * body learns it as soon as the level is read, so that even the refusal of the rest of this packet speaks it.
 */
const CLEAN_START = 0x02;
const WILL_FLAG = 0x04;
const WILL_RETAIN = 0x20;
const PASSWORD = 0x40;
const USER_NAME = 0x80;

export function decodeConnect(body: PacketBody): ConnectPacket {
  const level = readLevel(body);
  const isMqtt31 = level === 3;
  const protocolVersion = level === 5 ? 5 : 4;
  body.version = protocolVersion;
  const flags = body.u8();
  checkFlags(body, flags);
  const keepAliveS = body.u16();
  const properties = protocolVersion === 5 ? decodeProperties(body, PacketType.CONNECT) : undefined;
  if (properties?.authenticationData !== undefined && properties.authenticationMethod === undefined) {
    body.protocolError('authentication data without an authentication method');
  }
  const cleanStart = (flags & CLEAN_START) !== 0;
  const clientId = body.string();
  if (clientId === '' && protocolVersion === 4 && (isMqtt31 || !cleanStart)) {
    body.fail(
      ReasonCode.CLIENT_IDENTIFIER_NOT_VALID,
      'an empty client identifier without clean session [MQTT-3.1.3-8], or in MQTT 3.1',
    );
  }
  const will = (flags & WILL_FLAG) !== 0 ? readWill(body, flags) : undefined;
  // MQTT 3.1: where the packet ends before them its length is right and the flags are wrong.
  const mayEnd = isMqtt31;
  const username = (flags & USER_NAME) === 0 || (mayEnd && body.at === body.end) ? undefined : body.string();
  const password = (flags & PASSWORD) === 0 || (mayEnd && body.at === body.end) ? undefined : body.binaryCopy();
  const packet: ConnectPacket = {
    type: PacketType.CONNECT,
    protocolVersion,
    clientId,
    cleanStart,
    keepAliveS,
    username,
    password,
    will,
    properties,
  };
  if (isMqtt31) packet.isMqtt31 = true;
  return packet;
}

/** Client identifiers of MQTT 3.1 may be longer than the 23 characters it allows, as everywhere. */
function readLevel(body: PacketBody): 3 | 4 | 5 {
  const name = body.string();
  const level = body.u8();
  if (name === 'MQTT' && (level === 4 || level === 5)) return level;
  if (name === 'MQIsdp' && level === 3) return level;
  const what = name === 'MQTT' || name === 'MQIsdp' ? `${name} level ${level}` : 'this protocol name';
  return body.fail(ReasonCode.UNSUPPORTED_PROTOCOL_VERSION, `${what} is not spoken here, MQTT 3.1, 3.1.1 and 5.0 are`);
}

function checkFlags(body: PacketBody, flags: number): void {
  if ((flags & 1) !== 0) body.malformed('the reserved connect flag is set [MQTT-3.1.2-3]');
  if ((flags & WILL_FLAG) === 0) {
    if ((flags & 0x38) !== 0) body.malformed('will QoS or will retain without a will [MQTT-3.1.2-11]');
  } else if ((flags & 0x18) === 0x18) body.malformed('will QoS 3 [MQTT-3.1.2-12]');
  if (body.version === 4 && (flags & PASSWORD) !== 0 && (flags & USER_NAME) === 0) {
    body.malformed('a password without a user name [MQTT-3.1.2-22]');
  }
}

function readWill(body: PacketBody, flags: number): Will {
  const properties = body.version === 5 ? decodeProperties(body, WILL) : undefined;
  const topic = readTopicName(body, ReasonCode.TOPIC_NAME_INVALID);
  if (topic === '') body.fail(ReasonCode.TOPIC_NAME_INVALID, 'the will topic is empty [MQTT-4.7.3-1]');
  return {
    topic,
    payload: body.binaryCopy(),
    qos: ((flags >>> 3) & 3) as QoS,
    retain: (flags & WILL_RETAIN) !== 0,
    properties,
  };
}

export function decodeConnack(body: PacketBody): ConnackPacket {
  const flags = body.u8();
  if (flags > 1) body.malformed('reserved CONNACK flags [MQTT-3.2.2-1]');
  const reasonCode = body.u8();
  if (body.version === 5 ? !CONNACK_REASON_CODES.has(reasonCode) : reasonCode > 5) {
    body.protocolError(`CONNACK with reason code ${reasonCode}`);
  }
  if (flags === 1 && reasonCode !== 0) body.protocolError('session present in a refusal [MQTT-3.2.2-6]');
  const properties = body.version === 5 ? decodeProperties(body, PacketType.CONNACK) : undefined;
  if (properties?.authenticationData !== undefined && properties.authenticationMethod === undefined) {
    body.protocolError('authentication data without an authentication method');
  }
  return { type: PacketType.CONNACK, sessionPresent: flags === 1, reasonCode, properties };
}
