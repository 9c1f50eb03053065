import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import type { ConnectionState } from '@sluice/mqtt/protocol/connection-state';
import type { OpenedSession } from '@sluice/mqtt/protocol/effects';
import { GatewaySession } from '../deliver/gateway-session.ts';
import type { GatewayServices } from '../gateway-services.ts';
import type { ConnectedElsewhere } from '../live/live-mesh.ts';
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
): OpenedSession | number {
  const existing = services.table.session(clientId);
  if (existing !== undefined) {
    if (existing.identity !== identity) return ReasonCode.NOT_AUTHORIZED;
    existing.connection.takenOver(!cleanStart);
    if (!cleanStart) {
      existing.moveTo(connection);
      existing.paceQueues(false);
      return { session: existing, present: true };
    }
  }
  const session = new GatewaySession(clientId, identity, services, connection);
  services.table.bind(session);
  services.metrics.sessions.set(services.table.sessions);
  return { session, present: false };
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

/** The end of a session, whatever ended it. Idempotent. */
export function closeSession(services: GatewayServices, session: GatewaySession): void {
  session.leave();
  services.table.unbind(session);
  services.metrics.sessions.set(services.table.sessions);
}
