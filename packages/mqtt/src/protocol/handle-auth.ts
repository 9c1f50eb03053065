import { type AuthPacket, PacketType } from '../codec/packet.ts';
import { ReasonCode } from '../codec/reason-code.ts';
import { ConnectionPhase } from './connection-phase.ts';
import type { ConnectionState } from './connection-state.ts';

/**
 * AUTH, MQTT 5 sections 3.15 and 4.12: a proof in several steps, of the sender of a CONNECT before its CONNACK, or once more
 * of a client that is connected. The host knows the methods; here is whose turn it is to speak.
 *
 *   connecting   CONNECT -> AUTH 0x18 <-> AUTH 0x18 … -> CONNACK
 *   connected    AUTH 0x19 -> AUTH 0x18 <-> AUTH 0x18 … -> AUTH 0x00, or DISCONNECT
 */
export function handleAuth(connection: ConnectionState, packet: AuthPacket): void {
  const { authentication } = connection;
  if (authentication === undefined) {
    connection.fail(ReasonCode.PROTOCOL_ERROR, 'AUTH without a method in the CONNECT [MQTT-4.12.0-7]');
    return;
  }
  if (packet.properties?.authenticationMethod !== authentication.method) {
    refuse(connection, 'AUTH with another method than the CONNECT [MQTT-4.12.0-5]');
    return;
  }
  const isNew = packet.reasonCode === ReasonCode.REAUTHENTICATE;
  if (isNew !== (connection.phase === ConnectionPhase.OPEN && !authentication.isChallenged)) {
    refuse(connection, isNew ? 'AUTH 0x19 in the middle of an authentication' : 'AUTH that nobody asked for');
    return;
  }
  authentication.isChallenged = false;
  connection.effects.continueAuthentication(packet.properties.authenticationData, isNew);
}

/** Before CONNACK nothing but AUTH and DISCONNECT may come [MQTT-3.1.2-30]. */
export function handleWhileConnecting(connection: ConnectionState, type: number): void {
  if (type === PacketType.DISCONNECT) connection.closed();
  else refuse(connection, 'another packet than AUTH before CONNACK [MQTT-3.1.2-30]');
}

/** The method wants to know more. */
export function sendChallenge(connection: ConnectionState, data: Uint8Array): void {
  const { authentication } = connection;
  if (authentication === undefined) return;
  authentication.isChallenged = true;
  connection.effects.send({
    type: PacketType.AUTH,
    reasonCode: ReasonCode.CONTINUE_AUTHENTICATION,
    properties: { authenticationMethod: authentication.method, authenticationData: data },
  });
}

/** The end of a proof on a connection that is open. */
export function handleReauthenticated(
  connection: ConnectionState,
  reasonCode: number,
  data: Uint8Array | undefined,
): void {
  const { authentication } = connection;
  if (authentication === undefined) return;
  if (reasonCode !== ReasonCode.SUCCESS) {
    connection.fail(ReasonCode.NOT_AUTHORIZED, 'the authentication has failed [MQTT-4.12.1-2]');
    return;
  }
  const properties = { authenticationMethod: authentication.method, authenticationData: data };
  connection.effects.send({ type: PacketType.AUTH, reasonCode, properties });
}

function refuse(connection: ConnectionState, why: string): void {
  if (connection.phase === ConnectionPhase.OPEN) connection.fail(ReasonCode.PROTOCOL_ERROR, why);
  else connection.refuseConnect(ReasonCode.PROTOCOL_ERROR, why, connection.version);
}
