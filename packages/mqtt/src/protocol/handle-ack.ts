import { type AckPacket, PacketType } from '../codec/packet.ts';
import { ReasonCode } from '../codec/reason-code.ts';
import type { InboundAck } from './ack-order.ts';
import { ConnectionPhase } from './connection-phase.ts';
import type { ConnectionState } from './connection-state.ts';
import { type OutboundMessage, OutboundPhase } from './outbound-message.ts';
import { settle } from './outbound-publish.ts';
import { reasonText } from './reason-text.ts';
import type { SessionState } from './session-state.ts';

/**
 * The four acknowledgements, both ways, MQTT 5 section 4.3. Ids that nobody knows are answered where the specification
 * has an answer and ignored otherwise: after a connection was replaced both sides may remember different things. An
 * answer of the wrong kind for a known id is a protocol error.
 *
 * @hotpath
 */

/** Our answer to a publish whose turn has come. */
export function sendAcknowledgement(connection: ConnectionState, ack: InboundAck): void {
  const refused = ack.reasonCode >= 0x80;
  if (refused && connection.version !== 5) {
    // 3.1.1 has no negative answer, and none at all would leave the client waiting for ever: it reconnects and retries.
    connection.fail(ack.reasonCode, 'a publish was refused');
    return;
  }
  if (ack.qos === 1 || refused) connection.receiveQuotaUsed--;
  connection.effects.acknowledged(ack.qos, ack.receivedAtMs);
  connection.effects.send({
    type: ack.qos === 1 ? PacketType.PUBACK : PacketType.PUBREC,
    packetId: ack.packetId,
    reasonCode: connection.version === 5 ? ack.reasonCode : 0,
    properties: refused ? connection.reasonProperties(reasonText(ack.reasonCode)) : undefined,
  });
}

/** The client has finished with a QoS 1 message. An error, and 0x10 as in EMQX, refuses it. */
export function handlePuback(connection: ConnectionState, packet: AckPacket, nowMs: number): void {
  const session = connection.session as SessionState;
  const outbound = session.inflight.get(packet.packetId);
  if (outbound === undefined) return;
  if (outbound.qos !== 1) {
    connection.fail(ReasonCode.PROTOCOL_ERROR, 'PUBACK for a QoS 2 message [MQTT-4.3.3-4]');
    return;
  }
  // It was never sent.
  if (outbound.phase === OutboundPhase.BINDING) return;
  settle(session, outbound, isAccepted(packet.reasonCode));
  session.pump(nowMs);
}

export function handlePubrec(connection: ConnectionState, packet: AckPacket, nowMs: number): void {
  const session = connection.session as SessionState;
  const outbound = session.inflight.get(packet.packetId);
  if (outbound === undefined) {
    // An error needs no PUBREL; otherwise the client waits for one.
    if (packet.reasonCode < 0x80) {
      sendAck(connection, PacketType.PUBREL, packet.packetId, ReasonCode.PACKET_IDENTIFIER_NOT_FOUND);
    }
    return;
  }
  if (outbound.qos !== 2) {
    connection.fail(ReasonCode.PROTOCOL_ERROR, 'PUBREC for a QoS 1 message [MQTT-4.3.2-3]');
    return;
  }
  if (packet.reasonCode >= 0x80) {
    settle(session, outbound, false);
    session.pump(nowMs);
    return;
  }
  const { phase } = outbound;
  // Answered when it can be: not what was never sent, nor a second time what is being kept.
  if (phase === OutboundPhase.BINDING || phase === OutboundPhase.RECEIVING) return;
  session.inflight.reclaim(outbound);
  if (outbound.isBound && session.exchanges !== undefined && phase !== OutboundPhase.AWAITING_PUBCOMP) {
    outbound.phase = OutboundPhase.RECEIVING;
    session.exchanges.receive(outbound);
    return;
  }
  outbound.phase = OutboundPhase.AWAITING_PUBCOMP;
  sendAck(connection, PacketType.PUBREL, packet.packetId, ReasonCode.SUCCESS);
}

/** It is kept that the client has it. */
export function sendRelease(connection: ConnectionState, outbound: OutboundMessage): void {
  if (connection.phase === ConnectionPhase.OPEN) {
    sendAck(connection, PacketType.PUBREL, outbound.packetId, ReasonCode.SUCCESS);
  }
}

/** It is kept that the client has freed the id. */
export function sendComplete(connection: ConnectionState, packetId: number): void {
  if (connection.phase === ConnectionPhase.OPEN) {
    sendAck(connection, PacketType.PUBCOMP, packetId, ReasonCode.SUCCESS);
  }
}

export function handlePubcomp(connection: ConnectionState, packet: AckPacket, nowMs: number): void {
  const session = connection.session as SessionState;
  const outbound = session.inflight.get(packet.packetId);
  if (outbound === undefined) return;
  if (outbound.phase !== OutboundPhase.AWAITING_PUBCOMP) {
    connection.fail(ReasonCode.PROTOCOL_ERROR, 'PUBCOMP before PUBREL [MQTT-4.3.3-6]');
    return;
  }
  settle(session, outbound, true);
  session.pump(nowMs);
}

/**
 * The client frees the id of its QoS 2 message; the message itself was committed before PUBREC. Where ids are kept, one that
 * is not there was freed before, over a connection whose PUBCOMP was lost: clients take 0x92 for a publish that failed.
 */
export function handlePubrel(connection: ConnectionState, packet: AckPacket): void {
  const session = connection.session as SessionState;
  const known = session.received.release(packet.packetId);
  if (known && connection.receiveQuotaUsed > 0) connection.receiveQuotaUsed--;
  if (session.exchanges?.release(packet.packetId, connection) === true) return;
  sendAck(
    connection,
    PacketType.PUBCOMP,
    packet.packetId,
    known || session.exchanges !== undefined ? ReasonCode.SUCCESS : ReasonCode.PACKET_IDENTIFIER_NOT_FOUND,
  );
}

/** A session that goes on: PUBREL again for what the client has, then PUBLISH again for the rest [MQTT-4.4.0-1]. */
export function resumeExchanges(session: SessionState, connection: ConnectionState, nowMs: number): void {
  for (const outbound of session.inflight.messages()) {
    if (outbound.phase === OutboundPhase.AWAITING_PUBCOMP) {
      sendAck(connection, PacketType.PUBREL, outbound.packetId, ReasonCode.SUCCESS);
    }
  }
  session.pump(nowMs);
}

function isAccepted(reasonCode: number): boolean {
  return reasonCode < 0x80 && reasonCode !== ReasonCode.NO_MATCHING_SUBSCRIBERS;
}

function sendAck(
  connection: ConnectionState,
  type: typeof PacketType.PUBREL | typeof PacketType.PUBCOMP,
  packetId: number,
  reasonCode: number,
): void {
  const properties = reasonCode === 0 ? undefined : connection.reasonProperties(reasonText(reasonCode));
  connection.effects.send({ type, packetId, reasonCode: connection.version === 5 ? reasonCode : 0, properties });
}
