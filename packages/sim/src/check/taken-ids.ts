import { Violation } from '../simulation.ts';
import type { SessionConnection } from './session-check.ts';

/**
 * Packet ids of messages at QoS 2 that a client has and the broker has not released. What comes under one of them is the same
 * message and not another one [MQTT-4.3.3-10]: until its PUBCOMP the id is in use [MQTT-2.2.1-4], and what is sent again is
 * sent over another connection [MQTT-4.4.0-1], marked [MQTT-3.3.1-1]. Who only believes that would take another message
 * under such an id for one that it has, and miss it without a word.
 *
 * Over a connection that has been overtaken anything may be late, and what it brought since is no word of the session's.
 */
export class TakenIds {
  readonly #taken = new Map<number, Taken>();

  /** Whether the client has it already. `isNewest`: nobody has connected for this session since. */
  came(arrived: Arrived, nowMs: number): boolean {
    const { connection, packetId, what, isAgain, isNewest } = arrived;
    const known = this.#taken.get(packetId);
    if (known === undefined) {
      this.#taken.set(packetId, { connection, what, atMs: nowMs });
      return false;
    }
    const isLate = known.connection !== connection && known.atMs >= connection.connectSentMs;
    if (known.what !== what) {
      if (!isNewest) return false;
      if (!isLate) {
        throw new Violation('packet id in use', `${packetId} is ${known.what}, not released, and came as ${what}`);
      }
      this.#taken.set(packetId, { connection, what, atMs: nowMs });
      return false;
    }
    if (known.connection === connection) {
      throw new Violation('sent again', `${what} came twice as ${packetId} over one connection`);
    }
    if (isNewest && !isLate && !isAgain) {
      throw new Violation('packet id kept', `${what} is there as ${packetId}, and came without DUP`);
    }
    this.#taken.set(packetId, { connection, what, atMs: nowMs });
    return true;
  }

  released(packetId: number): void {
    this.#taken.delete(packetId);
  }

  /** The session is over. */
  clear(): void {
    this.#taken.clear();
  }
}

interface Taken {
  readonly connection: SessionConnection;
  readonly what: string;
  readonly atMs: number;
}

export interface Arrived {
  readonly connection: SessionConnection;
  readonly packetId: number;
  /** Which message. */
  readonly what: string;
  /** DUP. */
  readonly isAgain: boolean;
  readonly isNewest: boolean;
}
