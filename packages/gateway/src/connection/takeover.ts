import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import type { ConnectionState } from '@sluice/mqtt/protocol/connection-state';
import type { OpenedSession } from '@sluice/mqtt/protocol/effects';
import { GatewaySession } from '../deliver/gateway-session.ts';
import type { GatewayServices } from '../gateway-services.ts';

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

/** The end of a session, whatever ended it. Idempotent. */
export function closeSession(services: GatewayServices, session: GatewaySession): void {
  session.leave();
  services.table.unbind(session);
  services.metrics.sessions.set(services.table.sessions);
}
