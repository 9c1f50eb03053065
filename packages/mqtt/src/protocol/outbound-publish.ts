import { encodedSizeBytes } from '../codec/encoder.ts';
import { PacketType, type Properties, type PublishPacket, type QoS } from '../codec/packet.ts';
import type { ConnectionState } from './connection-state.ts';
import type { DeliverableMessage } from './deliverable-message.ts';
import { type OutboundMessage, OutboundPhase } from './outbound-message.ts';
import type { SessionState } from './session-state.ts';

/**
 * Messages towards the client. Three things may stand in the way: the client's Receive Maximum, a socket that is full,
 * and a backlog that was there first. At QoS 0 the message is then dropped and counted; otherwise it waits in the
 * backlog, where live traffic is bounded by number and bytes and queue deliveries by the queue's window. Memory is
 * bounded however slowly a client reads.
 *
 * @hotpath
 */

/** A live QoS 0 message: now or never. */
export function sendAtMostOnce(
  session: SessionState,
  message: DeliverableMessage,
  retain: boolean,
  subscriptionIdentifier: number,
  nowMs: number,
): void {
  const connection = session.connection;
  if (!connection.effects.writable) {
    connection.effects.dropped('slow_qos0');
    return;
  }
  write(connection, message, 0, retain, false, 0, subscriptionIdentifier, nowMs);
}

/** Everything that is to be acknowledged, and queue deliveries at QoS 0. */
export function sendOrWait(session: SessionState, outbound: OutboundMessage, nowMs: number): void {
  if (outbound.live && !admitLive(session, outbound)) return;
  if (session.backlog.peek() === undefined && canSend(session, outbound)) {
    sendNow(session, outbound, nowMs);
    return;
  }
  outbound.message.keep();
  session.backlog.push(outbound);
}

/** Called when the window or the socket has room again. */
export function pumpBacklog(session: SessionState, nowMs: number): void {
  const backlog = session.backlog;
  for (let next = backlog.peek(); next !== undefined && canSend(session, next); next = backlog.peek()) {
    backlog.shift();
    sendNow(session, next, nowMs);
  }
}

/** The exchange is over, one way or the other. */
export function settle(session: SessionState, outbound: OutboundMessage, accepted: boolean): void {
  session.inflight.close(outbound);
  release(session, outbound);
  if (outbound.isBound) session.exchanges?.finish(outbound, accepted);
  if (accepted) outbound.source?.accepted();
  else outbound.source?.rejected();
  outbound.forget();
}

function canSend(session: SessionState, outbound: OutboundMessage): boolean {
  if (!session.connection.effects.writable) return false;
  if (outbound.qos === 0) return true;
  const { inflight } = session;
  if (!inflight.hasRoomFor(outbound)) return false;
  if (outbound.packetId !== 0) return true;
  if (session.isBindingAtLeastOnce) return false;
  // What has its id now was answered before that was first given to this one, and its answer was lost: it will be again.
  return !outbound.isUnsure || !inflight.isOnWire(outbound.destinedId);
}

/** Live messages are dropped at the bound, the newest first: those that wait may be waited for. */
function admitLive(session: SessionState, outbound: OutboundMessage): boolean {
  if (session.backlog.liveCount >= session.limits.liveQueueMax || !session.mayHoldLive(outbound.message)) {
    session.connection.effects.dropped('queue_full');
    // Not `returned`: in a shared group whose members are all full it would go round for ever.
    outbound.source?.rejected();
    return false;
  }
  session.liveBytes += outbound.message.heldBytes;
  return true;
}

function release(session: SessionState, outbound: OutboundMessage): void {
  if (outbound.live) session.liveBytes -= outbound.message.heldBytes;
}

function sendNow(session: SessionState, outbound: OutboundMessage, nowMs: number): void {
  const again = outbound.packetId !== 0;
  const message = outbound.message;
  // A message that was sent before is finished even if it has expired meanwhile: the client may have it already.
  if (!again && message.expiresAtMs !== 0 && message.expiresAtMs <= nowMs) {
    session.connection.effects.dropped('expired');
    outbound.phase = OutboundPhase.SETTLED;
    release(session, outbound);
    outbound.source?.accepted();
    return;
  }
  if (outbound.qos !== 0) {
    message.keep();
    session.inflight.open(outbound);
    if (outbound.qos === 2 && !outbound.isBound && session.exchanges !== undefined) {
      outbound.isBound = true;
      session.exchanges.bind(outbound);
      // Sent before its session was one that is kept: the damage is done.
      if (!again) {
        outbound.phase = OutboundPhase.BINDING;
        return;
      }
    }
    const { destinedId, packetId } = outbound;
    if (destinedId !== 0 && packetId !== destinedId && !again && session.exchanges !== undefined) {
      // Another message has it. Nobody would find the one it has instead.
      outbound.isBound = true;
      outbound.phase = OutboundPhase.BINDING;
      session.isBindingAtLeastOnce = true;
      session.exchanges.bind(outbound);
      return;
    }
  }
  transmit(session, outbound, again || outbound.isUnsure, nowMs);
}

/** Its packet id, if it has one, is kept as long as it has to be. */
export function transmit(session: SessionState, outbound: OutboundMessage, again: boolean, nowMs: number): void {
  const { connection } = session;
  const { message } = outbound;
  const id = outbound.packetId;
  const sent = write(
    connection,
    message,
    outbound.qos,
    outbound.retain,
    again,
    id,
    outbound.subscriptionIdentifier,
    nowMs,
  );
  if (sent && outbound.qos !== 0) return;
  session.inflight.close(outbound);
  release(session, outbound);
  outbound.phase = OutboundPhase.SETTLED;
  if (outbound.isBound) session.exchanges?.finish(outbound, false);
  if (sent || outbound.live) outbound.source?.accepted();
  else outbound.source?.tooLarge?.();
  outbound.forget();
  // Too large for this client: as if sent [MQTT-3.1.2-25]. A queue's message is for who takes it, which its source sees to.
}

/** False when the client's Maximum Packet Size does not allow it. */
function write(
  connection: ConnectionState,
  message: DeliverableMessage,
  qos: QoS,
  retain: boolean,
  dup: boolean,
  packetId: number,
  subscriptionIdentifier: number,
  nowMs: number,
): boolean {
  const packet: PublishPacket = {
    type: PacketType.PUBLISH,
    topic: message.topic,
    payload: message.payload,
    qos,
    retain,
    dup,
    packetId,
    properties: undefined,
  };
  if (connection.version === 5) {
    packet.properties = propertiesFor(message, subscriptionIdentifier, nowMs);
    const maxBytes = connection.clientMaximumPacketSizeBytes;
    let room = Number.POSITIVE_INFINITY;
    if (maxBytes !== undefined) room = maxBytes - encodedSizeBytes(packet, 5);
    if (room < 0) {
      connection.effects.dropped('too_large');
      return false;
    }
    // A new alias is sent beside the topic; an alias that is drawn and not sent would be believed later.
    if (connection.outboundAliases !== undefined && room >= ALIAS_ROOM_BYTES) applyAlias(connection, packet);
  }
  connection.effects.send(packet);
  return true;
}

/** The message's own object when there is nothing to add: most messages have no expiry and no identifier. */
function propertiesFor(
  message: DeliverableMessage,
  subscriptionIdentifier: number,
  nowMs: number,
): Properties | undefined {
  const own = message.properties;
  if (subscriptionIdentifier === 0 && message.expiresAtMs === 0) return own;
  const properties: Properties = copyForwarded(own);
  if (message.expiresAtMs !== 0) {
    // Whole seconds, rounded up: a message that is not expired never says 0.
    properties.messageExpiryIntervalS = Math.max(1, Math.ceil((message.expiresAtMs - nowMs) / 1000));
  }
  if (subscriptionIdentifier !== 0) properties.subscriptionIdentifiers = [subscriptionIdentifier];
  return properties;
}

/** The properties that belong to the message, not to one hop of it [MQTT-3.3.2-4] … [MQTT-3.3.2-20]. */
export function copyForwarded(own: Properties | undefined): Properties {
  const copy: Properties = {};
  if (own === undefined) return copy;
  if (own.payloadFormatIndicator !== undefined) copy.payloadFormatIndicator = own.payloadFormatIndicator;
  if (own.contentType !== undefined) copy.contentType = own.contentType;
  if (own.responseTopic !== undefined) copy.responseTopic = own.responseTopic;
  if (own.correlationData !== undefined) copy.correlationData = own.correlationData;
  if (own.userProperties !== undefined) copy.userProperties = own.userProperties;
  return copy;
}

/** Only worth it for topics longer than the alias property itself. */
function applyAlias(connection: ConnectionState, packet: PublishPacket): void {
  if (packet.topic.length <= ALIAS_BYTES) return;
  const alias = connection.outboundAliases?.draw(packet.topic) ?? 0;
  if (alias === 0) return;
  packet.properties = copyWithAlias(packet.properties, Math.abs(alias));
  if (alias > 0) packet.topic = '';
}

function copyWithAlias(own: Properties | undefined, alias: number): Properties {
  const copy = copyForwarded(own);
  if (own?.messageExpiryIntervalS !== undefined) copy.messageExpiryIntervalS = own.messageExpiryIntervalS;
  if (own?.subscriptionIdentifiers !== undefined) copy.subscriptionIdentifiers = own.subscriptionIdentifiers;
  copy.topicAlias = alias;
  return copy;
}

const ALIAS_BYTES = 3;
/** The alias, and the lengths around it growing by a byte each. */
const ALIAS_ROOM_BYTES = 5;
