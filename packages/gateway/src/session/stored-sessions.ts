import { stableHashOfText } from '@sluice/common/stable-hash';
import type { Topology } from '@sluice/meta/topology';
import type { SessionAnswer, SessionClient } from '@sluice/store-client/session-client';

/**
 * Asks the stores for the sessions of clients that connect. A session is in the partition its client id hashes to, never
 * in another, so every gateway finds it.
 */
export class StoredSessions {
  readonly client: SessionClient;
  readonly expiryWithoutPropertyS: number;
  readonly #topology: Pick<Topology, 'partitionCount'>;

  /** Somebody whose session is to be kept can do nothing without it. */
  static readonly OPEN_MS_MAX = 5_000;
  /** Somebody who wants none may have had one: it is ended, if that can be done soon. */
  static readonly DISCARD_MS_MAX = 1_000;

  constructor(options: {
    client: SessionClient;
    topology: Pick<Topology, 'partitionCount'>;
    /** MQTT 3.1 and 3.1.1 cannot say for how long. */
    expiryWithoutPropertyS: number;
  }) {
    this.client = options.client;
    this.expiryWithoutPropertyS = options.expiryWithoutPropertyS;
    this.#topology = options.topology;
  }

  partitionOf(clientId: string): number {
    return 1 + (stableHashOfText(clientId) % Math.max(1, this.#topology.partitionCount));
  }

  open(clientId: string, identity: string | undefined, cleanStart: boolean, expiryS: number): Promise<SessionAnswer> {
    const keepsNothing = cleanStart && expiryS === 0;
    const patienceMs = keepsNothing ? StoredSessions.DISCARD_MS_MAX : StoredSessions.OPEN_MS_MAX;
    const client = { clientId, identity: identity ?? '', cleanStart, expiryS, will: undefined };
    return this.client.open(this.partitionOf(clientId), client, patienceMs);
  }
}
