import { encodedSizeBytes } from '../codec/encoder.ts';
import { type ConnackPacket, type ConnectPacket, PacketType, type Properties } from '../codec/packet.ts';
import { ReasonCode } from '../codec/reason-code.ts';
import { OutboundTopicAliases } from '../topic/topic-alias.ts';
import { ConnectionPhase } from './connection-phase.ts';
import type { ConnectionState } from './connection-state.ts';
import { resumeExchanges } from './handle-ack.ts';
import { effectiveKeepAliveS } from './keepalive.ts';
import { payloadFormatRefusal } from './payload-format.ts';
import { willRefusal } from './will.ts';

/** What a CONNECT leaves to be done once its sender is authenticated. */
export interface PendingConnect {
  packet: ConnectPacket;
  clientId: string;
  assigned: boolean;
}

/**
 * CONNECT, MQTT 5 section 3.1. What can be refused without asking anybody is refused first, so that an authenticator
 * sees only connections that could succeed; the session is opened only after it has agreed [MQTT-3.1.4-2], or anyone
 * could throw a client off by naming it.
 */
export function handleConnect(connection: ConnectionState, packet: ConnectPacket): void {
  connection.version = packet.protocolVersion;
  connection.isMqtt31 = packet.isMqtt31 === true;
  const properties = packet.properties;
  const method = properties?.authenticationMethod;
  if (method !== undefined) connection.authentication = { method, isChallenged: false };
  const refusal = willRefusal(packet);
  if (refusal !== undefined) {
    connection.refuseConnect(refusal, 'nobody may publish to the topic of this will', packet.protocolVersion);
    return;
  }
  const { will } = packet;
  const format = will === undefined ? undefined : payloadFormatRefusal(connection, will.properties, will.payload);
  if (format !== undefined) {
    connection.refuseConnect(format, 'the will is not the UTF-8 text that it is said to be', packet.protocolVersion);
    return;
  }
  if (properties?.receiveMaximum === 0 || properties?.maximumPacketSizeBytes === 0) {
    connection.refuseConnect(
      ReasonCode.PROTOCOL_ERROR,
      'Receive Maximum and Maximum Packet Size are not 0, sections 3.1.2.11.3 and 3.1.2.11.4',
      packet.protocolVersion,
    );
    return;
  }
  // MQTT 5 may leave it empty without Clean Start too [MQTT-3.1.3-7]: paho connects again so, and would never get back in.
  const assigned = packet.clientId === '';
  if (assigned && !packet.cleanStart && packet.protocolVersion !== 5) {
    connection.refuseConnect(
      ReasonCode.CLIENT_IDENTIFIER_NOT_VALID,
      'an empty client identifier needs a clean session [MQTT-3.1.3-8]',
      packet.protocolVersion,
    );
    return;
  }
  const clientId = assigned ? connection.effects.assignClientId() : packet.clientId;
  connection.pendingConnect = { packet, clientId, assigned };
  connection.phase = ConnectionPhase.AUTHENTICATING;
  connection.effects.authenticate(packet);
}

export function handleAuthenticated(
  connection: ConnectionState,
  reasonCode: number,
  identity: string | undefined,
  nowMs: number,
  data: Uint8Array | undefined,
): void {
  const pending = connection.pendingConnect;
  if (pending === undefined) return;
  const { packet, clientId } = pending;
  if (reasonCode !== ReasonCode.SUCCESS) {
    const isOffered = reasonCode !== ReasonCode.BAD_AUTHENTICATION_METHOD;
    const why = isOffered ? 'not authenticated' : 'this authentication method is not offered [MQTT-4.12.0-1]';
    connection.refuseConnect(reasonCode, why, packet.protocolVersion);
    return;
  }
  adoptConnect(connection, packet);
  if (!takesConnack(connection, pending, data)) {
    const why = 'Maximum Packet Size is less than the CONNACK needs [MQTT-3.1.2-24]';
    connection.refuseConnect(ReasonCode.PACKET_TOO_LARGE, why, packet.protocolVersion);
    return;
  }
  const opened = connection.effects.openSession(clientId, packet.cleanStart, identity);
  if (typeof opened === 'number') {
    const why = opened === ReasonCode.BANNED ? 'this client comes too often' : 'the session cannot be opened';
    connection.refuseConnect(opened, why, packet.protocolVersion);
    return;
  }
  connection.pendingConnect = undefined;
  connection.sessionExpiryS = opened.expiryS;
  connection.session = opened.session;
  connection.will = opened.keepsWill === true ? undefined : packet.will;
  connection.phase = ConnectionPhase.OPEN;
  connection.effects.send(connack(connection, pending, opened.present, data));
  if (opened.present) resumeExchanges(opened.session, connection, nowMs);
}

/** What the client said of itself, in force from here on. */
function adoptConnect(connection: ConnectionState, packet: ConnectPacket): void {
  const { limits } = connection;
  const properties = packet.properties;
  connection.username = packet.username;
  connection.keepAliveS = effectiveKeepAliveS(packet.keepAliveS, limits.keepAliveMaxS, packet.protocolVersion);
  connection.sessionExpiryAskedS = properties?.sessionExpiryIntervalS ?? 0;
  connection.requestProblemInformation = properties?.requestProblemInformation !== 0;
  connection.clientMaximumPacketSizeBytes = properties?.maximumPacketSizeBytes;
  connection.sendWindow = Math.min(properties?.receiveMaximum ?? 65_535, limits.inflightMax);
  const aliasMax = Math.min(properties?.topicAliasMaximum ?? 0, limits.topicAliasMaximum);
  connection.outboundAliases = aliasMax > 0 ? new OutboundTopicAliases(aliasMax) : undefined;
}

/**
 * Whether its client takes the CONNACK that would let it in. For the host to ask before it asks others for the session, which
 * would be there for a client that never hears of it.
 */
export function wouldTakeConnack(connection: ConnectionState, data: Uint8Array | undefined): boolean {
  const pending = connection.pendingConnect;
  if (pending?.packet.properties?.maximumPacketSizeBytes === undefined) return true;
  adoptConnect(connection, pending.packet);
  return takesConnack(connection, pending, data);
}

/** Asked before its session is here, of which it would never hear. This one says no less than the one that is sent. */
function takesConnack(connection: ConnectionState, pending: PendingConnect, data: Uint8Array | undefined): boolean {
  const maximumBytes = connection.clientMaximumPacketSizeBytes;
  if (maximumBytes === undefined) return true;
  return encodedSizeBytes(connack(connection, pending, false, data), 5) <= maximumBytes;
}

/** Limits are announced even where they equal the default: clients log what they are told. */
function connack(
  connection: ConnectionState,
  pending: PendingConnect,
  present: boolean,
  data: Uint8Array | undefined,
): ConnackPacket {
  // MQTT 3.1 has no such flag: its byte is reserved.
  const sessionPresent = present && !connection.isMqtt31;
  const packet: ConnackPacket = { type: PacketType.CONNACK, sessionPresent, reasonCode: ReasonCode.SUCCESS };
  if (connection.version !== 5) return packet;
  const { limits } = connection;
  const properties: Properties = {
    receiveMaximum: limits.receiveMaximum,
    maximumPacketSizeBytes: limits.maximumPacketSizeBytes,
    topicAliasMaximum: limits.topicAliasMaximum,
    sharedSubscriptionAvailable: 1,
  };
  const { authentication } = connection;
  if (authentication !== undefined) {
    properties.authenticationMethod = authentication.method;
    if (data !== undefined) properties.authenticationData = data;
  }
  const { responseInformation } = limits;
  if (responseInformation !== '' && pending.packet.properties?.requestResponseInformation === 1) {
    properties.responseInformation = responseInformation;
  }
  if (pending.assigned) properties.assignedClientIdentifier = pending.clientId;
  if (connection.keepAliveS !== pending.packet.keepAliveS) properties.serverKeepAliveS = connection.keepAliveS;
  // Said when it is another one than was asked for [MQTT-3.2.2.3.2].
  if (connection.sessionExpiryAskedS !== connection.sessionExpiryS) {
    properties.sessionExpiryIntervalS = connection.sessionExpiryS;
  }
  packet.properties = properties;
  return packet;
}
