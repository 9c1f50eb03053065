import { randomInt } from 'node:crypto';
import { stableHashOfText } from '@sluice/common/stable-hash';
import type { Topology } from '@sluice/meta/topology';
import type { WillToLeave } from '@sluice/rpc/contract/sessions';
import type { SessionKey } from '@sluice/store-client/session/attached-sessions';
import type { SessionClient } from '@sluice/store-client/session/session-client';
import type { SessionAnswer } from '@sluice/store-client/session/session-questions';

/**
 * Asks the stores for the sessions of clients that connect. A session is in the partition its client id hashes to, never
 * in another, so every gateway finds it.
 */
export class StoredSessions {
  readonly client: SessionClient;
  readonly expiryWithoutPropertyS: number;
  readonly #topology: Pick<Topology, 'partitionCount'>;
  /** So far from others' that no two CONNECTs of one client, at any gateways, have the same. */
  #ticket: number;

  /** Somebody whose session is to be kept can do nothing without it. */
  static readonly OPEN_MS_MAX = 5_000;
  /** Somebody who wants none may have had one: it is ended, if that can be done soon. */
  static readonly DISCARD_MS_MAX = 1_000;

  constructor(options: {
    client: SessionClient;
    topology: Pick<Topology, 'partitionCount'>;
    /** MQTT 3.1 and 3.1.1 cannot say for how long. */
    expiryWithoutPropertyS: number;
    /** From 0 to below what is given, by chance; the simulator's own has a seed. */
    randomBelow?: (bound: number) => number;
  }) {
    const { randomBelow = randomInt } = options;
    this.#ticket = randomBelow(2 ** 48 - 1);
    this.client = options.client;
    this.expiryWithoutPropertyS = options.expiryWithoutPropertyS;
    this.#topology = options.topology;
  }

  partitionOf(clientId: string): number {
    return 1 + (stableHashOfText(clientId) % Math.max(1, this.#topology.partitionCount));
  }

  async open(asked: SessionAsked): Promise<KeptSession> {
    const { clientId, identity, cleanStart, expiryS } = asked;
    const patienceMs = keepsNothing(asked) ? StoredSessions.DISCARD_MS_MAX : StoredSessions.OPEN_MS_MAX;
    const ticket = ++this.#ticket;
    const will = asked.will === undefined ? undefined : { ticket, ...asked.will };
    const client = { clientId, identity: identity ?? '', cleanStart, expiryS, ticket, will };
    const answer = await this.client.open(this.partitionOf(clientId), client, patienceMs);
    const { status, epoch, present, subscriptions, taken, bound, numbers, refused, unsure } = answer;
    const hasWill = will !== undefined;
    // Not `{ ...answer, expiryS, hasWill }`: V8 makes 600 B of hidden classes each time, which only a search of the whole heap finds.
    return { status, epoch, present, subscriptions, taken, bound, numbers, refused, unsure, expiryS, hasWill };
  }

  keyOf(clientId: string, { epoch }: KeptSession): SessionKey {
    return { partition: this.partitionOf(clientId), clientId, epoch };
  }

  /** It was opened for a connection that came to nothing: its will is not left, and the session waits as ever. */
  giveBack(clientId: string, kept: KeptSession): void {
    if (kept.epoch === 0) return;
    const key = this.keyOf(clientId, kept);
    void this.client.close(key, kept.expiryS, true, kept.unsure.length > 0, StoredSessions.OPEN_MS_MAX);
  }
}

export interface SessionAsked {
  readonly clientId: string;
  readonly identity: string | undefined;
  readonly cleanStart: boolean;
  readonly expiryS: number;
  readonly will: Omit<WillToLeave, 'ticket'> | undefined;
}

/** What the stores keep for a connection that begins. */
export interface KeptSession extends SessionAnswer {
  /** As it was asked for. */
  readonly expiryS: number;
  readonly hasWill: boolean;
}

/** Who asks so wants only to be sure that nothing of before is left. */
export function keepsNothing({ cleanStart, expiryS, will }: SessionAsked): boolean {
  return cleanStart && expiryS === 0 && will === undefined;
}
