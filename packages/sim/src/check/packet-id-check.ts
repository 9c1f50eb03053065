import { Violation } from '../simulation.ts';
import type { SessionConnection } from './session-check.ts';

/**
 * What packet ids promise to a client that remembers each: over one connection an id that it has not answered means one
 * message [MQTT-2.2.1-4], and what it has not answered comes over the next one, whatever became of the gateway between
 * them, under the id it had, marked [MQTT-4.4.0-1] [MQTT-3.3.1-1].
 */
export class PacketIdCheck {
  /** By connection: what each id means, as long as it is not answered. */
  readonly #open = new WeakMap<SessionConnection, Map<number, string>>();
  /** Unanswered, by what it is. */
  readonly #sent = new Map<string, Unanswered>();
  /** Came again so. */
  kept = 0;

  /** `what`: which message, of which stream, to whom; undefined: it comes once, if at all. */
  sent(connection: SessionConnection, packetId: number, isAgain: boolean, what: string | undefined): void {
    const { connectSentMs } = connection;
    const open = this.#open.get(connection) ?? new Map<number, string>();
    this.#open.set(connection, open);
    const other = open.get(packetId);
    if (other !== undefined) throw new Violation('packet id in use', `${packetId} is ${other}, and ${what}`);
    open.set(packetId, what ?? 'another one');
    if (what === undefined) return;
    const before = this.#sent.get(what);
    if (before !== undefined && before.connection !== connection) {
      // Whichever of two connections is the later one, also where one is late or both were made at once: it has one id, and
      // over one of them it comes again.
      const isBehind = before.connectSentMs < connectSentMs;
      const isTie = before.connectSentMs === connectSentMs;
      if (before.packetId !== packetId || (isBehind && !isAgain) || (isTie && !isAgain && !before.isAgain)) {
        const now = `${packetId}${isAgain ? ' with' : ' without'} DUP`;
        throw new Violation('packet id kept', `${what} was ${before.packetId}, not answered, and came as ${now}`);
      }
      if (isBehind) this.kept++;
      else if (!isTie) return;
    } else if (before !== undefined) {
      throw new Violation('sent again', `${what} came as ${before.packetId} and as ${packetId} over one connection`);
    }
    this.#sent.set(what, { packetId, connection, connectSentMs, isAgain });
  }

  answered(connection: SessionConnection, packetId: number): void {
    const open = this.#open.get(connection);
    const what = open?.get(packetId);
    open?.delete(packetId);
    if (what !== undefined) this.#sent.delete(what);
  }
}

interface Unanswered {
  readonly packetId: number;
  readonly connection: SessionConnection;
  readonly connectSentMs: number;
  readonly isAgain: boolean;
}
