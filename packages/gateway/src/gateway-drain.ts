import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { Properties } from '@sluice/mqtt/codec/packet';
import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import type { Connection } from './connection/connection.ts';
import type { ConnectionTable } from './connection/connection-table.ts';
import type { GatewayMetrics } from './gateway-metrics.ts';

/**
 * Sends everybody to other gateways without losing or repeating anything. All at once would bring all of them to the
 * others in one second, so they go evenly over most of the time there is. Each goes in three steps: its queues assign it
 * no more and it may acknowledge what it has, or that would be delivered a second time; then it is not read any more and
 * what it has published is answered; then MQTT 5 is told where to go (0x9C, or 0x9D for good) and 3.1.1 is closed, which
 * has no words for it. When the time is over, who is left goes without waiting.
 *
 * Its will is due, as with every connection that the server closes without a DISCONNECT of the client: MQTT 5 section
 * 3.1.2.5; where the session outlives the connection, after its delay.
 *
 * Who comes meanwhile is hung up on before a word is said: behind a load balancer many of those sent away come to this
 * gateway again, and MQTT.js, for one, never tries again after a CONNACK that refuses, whatever its reason code.
 *
 * A node that is taken back into service ends its drain: who was not asked to go yet stays.
 */
export class GatewayDrain {
  readonly #options: { table: ConnectionTable; clock: Clock; logger: Logger; metrics: GatewayMetrics };
  reasonCode: number = ReasonCode.USE_ANOTHER_SERVER;
  /** Where to, as far as it is known. */
  properties: Properties | undefined = undefined;
  #round: Round | undefined;

  constructor(options: { table: ConnectionTable; clock: Clock; logger: Logger; metrics: GatewayMetrics }) {
    this.#options = options;
  }

  /** Nobody is let in. */
  get active(): boolean {
    return this.#round !== undefined;
  }

  /** One under way goes on, and ends sooner if this one would. */
  start(options: DrainOptions): Promise<void> {
    const startMs = this.#options.clock.monotonicMs();
    const endMs = startMs + options.drainMs;
    if (this.#round === undefined) {
      const { serverReference = '', moved = false } = options;
      this.reasonCode = moved ? ReasonCode.SERVER_MOVED : ReasonCode.USE_ANOTHER_SERVER;
      this.properties = serverReference === '' ? undefined : { serverReference };
      this.#options.metrics.draining.set(1);
      const round: Round = { startMs, endMs, done: Promise.resolve() };
      this.#round = round;
      round.done = this.#drain(round);
    }
    this.#round.endMs = Math.min(this.#round.endMs, endMs);
    return this.#round.done;
  }

  /** Lets clients in again. Who was asked to go goes, the others stay. */
  end(): void {
    if (this.#round === undefined) return;
    this.#round = undefined;
    this.#options.metrics.draining.set(0);
  }

  async #drain(round: Round): Promise<void> {
    const { table, clock, logger } = this.#options;
    const staying = [...table.connections()].filter((connection) => connection.isOpen);
    let leaving: Leaving[] = [];
    let asked = 0;
    for (;;) {
      const nowMs = clock.monotonicMs();
      const { startMs, endMs } = round;
      const isOver = this.#round !== round;
      const due = isOver ? asked : dueUntil(nowMs - startMs, (endMs - startMs) * SPREAD, staying.length);
      for (; asked < due; asked++) {
        const connection = staying[asked] as Connection;
        connection.leave();
        leaving.push({ connection, answerUntilMs: nowMs + ANSWER_MS });
      }
      leaving = leaving.filter((one) => !this.#gone(one, nowMs, endMs));
      if (leaving.length === 0 && (isOver || asked === staying.length)) break;
      // Polled: drains are rare, and nothing on the hot path has to remember that somebody may wait.
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    logger.info(
      { connections: asked, drainMs: Math.round(clock.monotonicMs() - round.startMs) },
      'clients were sent away',
    );
  }

  /** One more step; true when it was the last. */
  #gone({ connection, answerUntilMs }: Leaving, nowMs: number, endMs: number): boolean {
    if (!connection.isOpen) return true;
    if (!connection.hasAnswered && nowMs < Math.min(answerUntilMs, endMs)) return false;
    connection.drain();
    if (connection.state.acks.count > 0 && nowMs < endMs) return false;
    connection.state.disconnect(this.reasonCode, this.properties);
    return true;
  }
}

export interface DrainOptions {
  drainMs: number;
  /** Another gateway's address for MQTT 5's Server Reference: `host:port`, several separated by spaces. */
  serverReference?: string | undefined;
  /** For good: 0x9D in place of 0x9C. */
  moved?: boolean;
}

interface Round {
  startMs: number;
  endMs: number;
  done: Promise<void>;
}

interface Leaving {
  connection: Connection;
  /** What it has not acknowledged by then goes back to its queues. */
  answerUntilMs: number;
}

/** How many of `count` are to have been asked after `elapsedMs`. */
function dueUntil(elapsedMs: number, spreadMs: number, count: number): number {
  return elapsedMs >= spreadMs ? count : Math.ceil((count * elapsedMs) / spreadMs);
}

/** Part of the time in which they are asked to go; the rest is for the last of them to be answered. */
const SPREAD = 0.6;
const ANSWER_MS = 5_000;
const POLL_MS = 10;
