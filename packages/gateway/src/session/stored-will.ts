import type { SessionKey, SessionSink } from '@sluice/store-client/session/attached-sessions';
import type { SessionClient } from '@sluice/store-client/session/session-client';
import type { GatewaySession } from '../deliver/gateway-session.ts';
import { StoredSession } from './stored-session.ts';

/**
 * The will of a client whose session ends with its connection. Nothing but the will is stored of it; this gateway speaks
 * for the client until the connection ends, and when it does not any more, because it is gone, the will is due.
 */
export class StoredWill implements SessionSink {
  readonly #session: GatewaySession;
  readonly #client: SessionClient;
  readonly #key: SessionKey;
  /** Of the will itself. */
  readonly delayS: number;
  #isClosed = false;
  #isLost = false;

  constructor(session: GatewaySession, client: SessionClient, key: SessionKey, delayS: number) {
    this.#session = session;
    this.delayS = delayS;
    this.#client = client;
    this.#key = key;
    client.attach(key, 1, this);
  }

  close(takesWillBack: boolean): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    void this.#client.close(this.#key, 0, takesWillBack, false, StoredSession.PATIENCE_MS);
  }

  /** It subscribes to nothing there. */
  delivered(): void {}

  /** The stores have seen to the will, and nobody has gone on with its session yet. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /** Another connection of the client, or the store took this gateway for gone: the will has been seen to. */
  lost(): void {
    this.#isClosed = true;
    this.#isLost = true;
    if (this.#session.successors === 0 || this.delayS > 0) this.#session.connection.takenOver(false);
  }

  /** The session goes on over another connection, which may have left a will of its own. */
  release(): void {
    this.#isClosed = true;
    this.#client.detach(this.#key.clientId, this.#key.epoch);
  }
}
