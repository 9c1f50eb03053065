import type { ConnectPacket, Will } from '@sluice/mqtt/codec/packet';
import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import type { ConnectionState } from '@sluice/mqtt/protocol/connection-state';
import type { OpenedSession } from '@sluice/mqtt/protocol/effects';
import { type ConnectionEnd, willPublish } from '@sluice/mqtt/protocol/will';
import { parseTopicFilter } from '@sluice/mqtt/topic/topic-filter';
import { GatewaySession } from '../deliver/gateway-session.ts';
import type { GatewayServices } from '../gateway-services.ts';
import type { ConnectedElsewhere } from '../live/live-mesh.ts';
import { optionsOf, StoredSession } from '../session/stored-session.ts';
import { type KeptSession, keepsNothing, type SessionAsked, type StoredSessions } from '../session/stored-sessions.ts';
import { StoredWill } from '../session/stored-will.ts';
import { encodeWillMessage } from '../session/will-message.ts';
import type { Connection } from './connection.ts';

/**
 * The session for a client that has just been authenticated. A client id is held by one connection: the older one is
 * sent away [MQTT-3.1.4-3], and its session goes on with the newer unless that asked for a clean start. Only the same
 * identity may do this, or knowing a client id would be enough to disconnect its owner and read its messages.
 */
export function openSession(
  services: GatewayServices,
  connection: ConnectionState,
  clientId: string,
  cleanStart: boolean,
  identity: string | undefined,
  kept: KeptSession | undefined,
): OpenedSession | number {
  const existing = services.table.session(clientId);
  if (existing !== undefined && existing.identity !== identity) return ReasonCode.NOT_AUTHORIZED;
  if (services.authenticator.mayOpen?.(clientId) === false) return ReasonCode.BANNED;
  if (existing !== undefined) {
    const isHere = !cleanStart && goesOn(existing, kept);
    existing.connection.takenOver(isHere);
    if (isHere) {
      existing.moveTo(connection);
      existing.paceQueues(false);
      existing.sizeChanged();
      existing.storedWill?.release();
      existing.storedWill = undefined;
      if (existing.stored === undefined) existing.leavesWill = false;
      if (kept !== undefined) keepSession(services, existing, kept);
      const expiryS = existing.stored === undefined ? 0 : expiryOf(services, connection);
      return { session: existing, present: true, expiryS, keepsWill: existing.leavesWill };
    }
  }
  const session = new GatewaySession(clientId, identity, services, connection);
  services.table.bind(session);
  services.metrics.sessions.set(services.table.sessions);
  if (kept === undefined || kept.epoch === 0) return { session, present: false, expiryS: 0 };
  keepSession(services, session, kept);
  return { session, present: kept.present, expiryS: expiryOf(services, connection), keepsWill: kept.hasWill };
}

/**
 * Asks the stores before a client is let in, where a session is to be kept for it or may have been, and where it leaves a
 * will; undefined: there is nothing to ask. Who wants nothing kept is let in also when nobody can say whether something was.
 */
export function askStored(
  { sessions, table }: GatewayServices,
  { pendingConnect, effects }: ConnectionState,
  identity: string | undefined,
): Promise<{ reasonCode: number; kept: KeptSession }> | undefined {
  if (sessions === undefined || pendingConnect === undefined) return undefined;
  const { packet, clientId, assigned } = pendingConnect;
  const { cleanStart } = packet;
  const expiryS = expiryAskedS(packet, sessions);
  const will = packet.will === undefined ? undefined : leftWill(packet.will, effects as Connection);
  // Nobody had this id before.
  if (assigned && expiryS === 0 && will === undefined) return undefined;
  const existing = table.session(clientId);
  const isSame = existing?.stored !== undefined && existing.storedExpiryS === expiryS && !existing.leavesWill;
  if (!cleanStart && will === undefined && isSame) return undefined;
  const asked = { clientId, identity, cleanStart, expiryS, will };
  const former = cleanStart || expiryS > 0 ? undefined : existing;
  if (former !== undefined) former.successors++;
  return sessions.open(asked).then((kept) => {
    if (former !== undefined) former.successors--;
    const { status } = kept;
    if (status === 'done' || (keepsNothing(asked) && status === 'unavailable')) {
      return { reasonCode: ReasonCode.SUCCESS, kept };
    }
    const isDenied = status === 'denied';
    return { reasonCode: isDenied ? ReasonCode.NOT_AUTHORIZED : ReasonCode.SERVER_UNAVAILABLE, kept };
  });
}

function leftWill(will: Will, { access, publisher }: Connection): SessionAsked['will'] {
  const message = encodeWillMessage({ packet: willPublish(will), publisher, subject: access.subject });
  return { delayS: will.properties?.willDelayIntervalS ?? 0, message };
}

/** The connection that the stores opened it for is not to be. */
export function giveBack({ sessions, table }: GatewayServices, clientId: string, kept: KeptSession | undefined): void {
  if (kept !== undefined) sessions?.giveBack(clientId, kept);
  // It waited for this one to go on with its session, and the stores have published its will.
  const former = table.session(clientId);
  if (former?.storedWill?.isLost === true && former.successors === 0) former.connection.takenOver(false);
}

function expiryAskedS(packet: ConnectPacket, sessions: StoredSessions): number {
  if (packet.protocolVersion === 5) return packet.properties?.sessionExpiryIntervalS ?? 0;
  return packet.cleanStart ? 0 : sessions.expiryWithoutPropertyS;
}

function expiryOf({ sessions }: GatewayServices, { pendingConnect }: ConnectionState): number {
  return sessions === undefined || pendingConnect === undefined ? 0 : expiryAskedS(pendingConnect.packet, sessions);
}

/** More of it than a will. */
function isKept({ epoch, expiryS, present }: KeptSession): boolean {
  return epoch !== 0 && (expiryS > 0 || present);
}

/**
 * Over the connection that comes. What the stores have opened anew goes on with what they have. And what is to be kept from
 * now on begins anew: the subscriptions of one that is not would be without messages until the stores keep them, of which
 * nobody is told. Neither does one whose will has a delay: it ends with its connection, so its will is published, which
 * must not be sent of a session that goes on before the delay is over [MQTT-3.1.3-9].
 */
function goesOn({ stored, storedWill }: GatewaySession, kept: KeptSession | undefined): boolean {
  if (kept === undefined) return true;
  return stored === undefined && (storedWill === undefined || storedWill.delayS === 0) && !isKept(kept);
}

/** What is stored becomes what is here: its subscriptions, then its messages. */
function keepSession(services: GatewayServices, session: GatewaySession, kept: KeptSession): void {
  const { sessions } = services;
  if (sessions === undefined || kept.epoch === 0) return;
  const key = sessions.keyOf(session.clientId, kept);
  session.leavesWill = kept.hasWill;
  session.storedExpiryS = kept.expiryS;
  if (!isKept(kept)) {
    const delayS = session.connection.pendingConnect?.packet.will?.properties?.willDelayIntervalS ?? 0;
    session.storedWill = new StoredWill(session, sessions.client, key, delayS);
    return;
  }
  const stored = new StoredSession(session, sessions.client, key, services.ingress);
  session.stored = stored;
  session.exchanges = stored.exchanges;
  for (const view of kept.subscriptions) {
    const request = parseTopicFilter(view.filter);
    if (request.kind === 'invalid' || session.subscriptions.has(view.filter)) continue;
    const subscription = {
      text: view.filter,
      request,
      ...optionsOf(view.options),
      subscriptionIdentifier: view.subscriptionId,
      isUnanswered: false,
      handle: undefined,
    };
    session.hold(subscription);
    session.route(subscription);
    session.begin(subscription, false);
  }
  stored.begin(kept);
}

/**
 * A client that we have connected to another gateway. The newer connection is the client's, by the time of its CONNECT
 * and, when those are equal, by the number of the gateway: both gateways judge by the same two numbers, so exactly one
 * lets go. Their clocks may differ, though, and a client that comes back must not be thrown out for that: a connection
 * that has been open for longer than messages are under way is the older one, whatever the stamps say.
 *
 * The session does not move between gateways: it ends, and its will is due.
 *
 * @returns the time of our connection when that is the newer one: the other gateway is told.
 */
export function connectedElsewhere(
  services: GatewayServices,
  nodeId: number,
  elsewhere: ConnectedElsewhere,
): number | undefined {
  const session = services.table.session(elsewhere.clientId);
  if (session === undefined || (session.identity ?? '') !== elsewhere.identity) return undefined;
  const connection = session.connection.effects as Connection;
  const isOlder =
    services.clock.monotonicMs() - connection.openedMonotonicMs > CROSSING_MS ||
    connection.openedAtMs < elsewhere.connectedAtMs ||
    (connection.openedAtMs === elsewhere.connectedAtMs && nodeId < elsewhere.nodeId);
  if (!isOlder) return connection.openedAtMs;
  services.mesh.metrics.takenOver.add();
  session.connection.takenOver(false);
  return undefined;
}

/** Two gateways that let a client in within this time may not have heard of each other's. */
const CROSSING_MS = 2_000;

/** The end of a session here, whatever ended it. Idempotent. */
export function closeSession(services: GatewayServices, session: GatewaySession, end: ConnectionEnd): void {
  const takesWillBack = end === 'client_disconnect' && session.leavesWill;
  session.stored?.close(session.connection.sessionExpiryS, takesWillBack);
  session.storedWill?.close(takesWillBack);
  session.leave();
  services.table.unbind(session);
  services.metrics.sessions.set(services.table.sessions);
}
