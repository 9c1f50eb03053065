import type { GatewaySession } from '../deliver/gateway-session.ts';
import type { Connection } from './connection.ts';

/** All open connections, and the sessions by client id. A `Map` for both: a client id may be `__proto__`. */
export class ConnectionTable {
  readonly connectionsMax: number;
  readonly #connections = new Set<Connection>();
  readonly #sessions = new Map<string, GatewaySession>();

  constructor(connectionsMax: number) {
    this.connectionsMax = connectionsMax;
  }

  get size(): number {
    return this.#connections.size;
  }

  add(connection: Connection): void {
    this.#connections.add(connection);
  }
  delete(connection: Connection): void {
    this.#connections.delete(connection);
  }
  has(connection: Connection): boolean {
    return this.#connections.has(connection);
  }
  connections(): IterableIterator<Connection> {
    return this.#connections.values();
  }

  session(clientId: string): GatewaySession | undefined {
    return this.#sessions.get(clientId);
  }
  bind(session: GatewaySession): void {
    this.#sessions.set(session.clientId, session);
  }
  /** A session that was replaced meanwhile leaves its successor alone. */
  unbind(session: GatewaySession): void {
    if (this.#sessions.get(session.clientId) === session) this.#sessions.delete(session.clientId);
  }
  get sessions(): number {
    return this.#sessions.size;
  }
}
