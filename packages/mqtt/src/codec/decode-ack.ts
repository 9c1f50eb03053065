import type { AckPacket, AuthPacket, DisconnectPacket, PingPacket } from './packet.ts';
import { PacketType } from './packet.ts';
import type { PacketBody } from './packet-body.ts';
import { decodeProperties } from './properties.ts';
import { ReasonCode } from './reason-code.ts';
import {
  CLIENT_AUTH_REASON_CODES,
  CLIENT_DISCONNECT_REASON_CODES,
  PUBACK_REASON_CODES,
  PUBREL_REASON_CODES,
  SERVER_AUTH_REASON_CODES,
  SERVER_DISCONNECT_REASON_CODES,
} from './reason-code-table.ts';

/**
 * The packets that are little more than a reason code: PUBACK and its relatives, DISCONNECT, AUTH, PINGREQ, PINGRESP
 * (MQTT 5 sections 3.4 to 3.7 and 3.12 to 3.15). Reason code and properties may be cut off from the right when they
 * say nothing; 3.1.1 has neither, and a byte more than it allows is malformed.
 *
 * @hotpath
 */
export function decodeAck(body: PacketBody, type: AckPacket['type']): AckPacket {
  const packetId = body.packetId();
  if (body.at === body.end || body.version === 4) return { type, packetId, reasonCode: 0, properties: undefined };
  const reasonCode = body.u8();
  const allowed = type === PacketType.PUBACK || type === PacketType.PUBREC ? PUBACK_REASON_CODES : PUBREL_REASON_CODES;
  if (!allowed.has(reasonCode)) body.protocolError(`packet type ${type} with reason code ${reasonCode}`);
  const properties = body.at === body.end ? undefined : decodeProperties(body, type);
  return { type, packetId, reasonCode, properties };
}

export function decodePing(_body: PacketBody, type: PingPacket['type']): PingPacket {
  return { type };
}

export function decodeDisconnect(body: PacketBody): DisconnectPacket {
  const type = PacketType.DISCONNECT;
  if (body.at === body.end || body.version === 4) return { type, reasonCode: 0, properties: undefined };
  const reasonCode = body.u8();
  const allowed = body.role === 'server' ? CLIENT_DISCONNECT_REASON_CODES : SERVER_DISCONNECT_REASON_CODES;
  if (!allowed.has(reasonCode)) body.protocolError(`DISCONNECT with reason code ${reasonCode} [MQTT-3.14.2-1]`);
  const properties = body.at === body.end ? undefined : decodeProperties(body, type);
  if (properties !== undefined) {
    if (body.role === 'server' && properties.serverReference !== undefined) {
      body.protocolError('a client sent a server reference');
    }
    if (body.role === 'client' && properties.sessionExpiryIntervalS !== undefined) {
      body.protocolError('a server sent a session expiry interval [MQTT-3.14.2-2]');
    }
  }
  return { type, reasonCode, properties };
}

export function decodeAuth(body: PacketBody): AuthPacket {
  const type = PacketType.AUTH;
  if (body.version === 4) body.malformed('packet type 15 is reserved in MQTT 3.1.1');
  const bare = body.at === body.end;
  const reasonCode = bare ? ReasonCode.SUCCESS : body.u8();
  const allowed = body.role === 'server' ? CLIENT_AUTH_REASON_CODES : SERVER_AUTH_REASON_CODES;
  if (!allowed.has(reasonCode)) body.protocolError(`AUTH with reason code ${reasonCode} [MQTT-3.15.2-1]`);
  const properties = bare ? undefined : decodeProperties(body, type);
  if (!bare && properties?.authenticationMethod === undefined) {
    body.protocolError('AUTH without an authentication method, section 3.15.2.2.2');
  }
  return { type, reasonCode, properties };
}
