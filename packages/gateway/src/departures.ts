import type { Properties } from '@sluice/mqtt/codec/packet';
import type { Connection } from './connection/connection.ts';

/**
 * Connections on their way to other gateways, without losing or repeating anything. Each goes in three steps: its queues
 * assign it no more and it may acknowledge what it has, or that would be delivered a second time; then it is not read any
 * more and what it has published is answered; then MQTT 5 is told where to go (0x9C, or 0x9D for good) and 3.1.1 is closed,
 * which has no words for it. Who goes and when is decided by others.
 *
 * Its will is due, as with every connection that the server closes without a DISCONNECT of the client: MQTT 5 section
 * 3.1.2.5; where the session outlives the connection, after its delay.
 */
export class Departures {
  /** Until when each may answer; what it has not acknowledged by then goes back to its queues. */
  readonly #answerUntilMs = new Map<Connection, number>();

  static readonly ANSWER_MS = 5_000;
  /** Looked at so often: departures are rare, and nothing on the hot path has to remember that somebody may wait. */
  static readonly POLL_MS = 10;

  get count(): number {
    return this.#answerUntilMs.size;
  }

  begin(connection: Connection, nowMs: number): void {
    connection.leave();
    this.#answerUntilMs.set(connection, nowMs + Departures.ANSWER_MS);
  }

  /** Each a step on, if it is ready; from `endMs` on nobody is waited for. */
  advance(nowMs: number, endMs: number, farewell: Farewell): void {
    for (const [connection, answerUntilMs] of this.#answerUntilMs) {
      const hasTime = nowMs < Math.min(answerUntilMs, endMs);
      if (hasGone(connection, hasTime, nowMs < endMs, farewell)) this.#answerUntilMs.delete(connection);
    }
  }
}

export interface Farewell {
  reasonCode: number;
  /** Where to, as far as it is known. */
  properties: Properties | undefined;
}

function hasGone(connection: Connection, mayAnswer: boolean, isAnswered: boolean, farewell: Farewell): boolean {
  if (!connection.isOpen) return true;
  if (connection.session?.hasAnswered === false && mayAnswer) return false;
  connection.drain();
  if (connection.state.acks.count > 0 && isAnswered) return false;
  connection.state.disconnect(farewell.reasonCode, farewell.properties);
  return true;
}
