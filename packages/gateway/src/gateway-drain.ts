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
 * 3.1.2.5, and the session does not outlive the connection, so that no Will Delay holds it back.
 */
export class GatewayDrain {
  readonly #options: { table: ConnectionTable; clock: Clock; logger: Logger; metrics: GatewayMetrics };
  reasonCode: number = ReasonCode.USE_ANOTHER_SERVER;
  /** Where to, as far as it is known: what a refused CONNECT and a DISCONNECT carry. */
  properties: Properties | undefined = undefined;
  #done: Promise<void> | undefined;

  constructor(options: { table: ConnectionTable; clock: Clock; logger: Logger; metrics: GatewayMetrics }) {
    this.#options = options;
  }

  /** Nobody is let in. */
  get active(): boolean {
    return this.#done !== undefined;
  }

  start(options: DrainOptions): Promise<void> {
    this.#done ??= this.#drain(options);
    return this.#done;
  }

  async #drain({ drainMs, serverReference, moved = false }: DrainOptions): Promise<void> {
    const { table, clock, logger, metrics } = this.#options;
    metrics.draining.set(1);
    if (moved) this.reasonCode = ReasonCode.SERVER_MOVED;
    if (serverReference !== undefined && serverReference !== '') this.properties = { serverReference };
    const startMs = clock.monotonicMs();
    const endMs = startMs + drainMs;
    const staying = [...table.connections()].filter((connection) => connection.isOpen);
    let leaving: Leaving[] = [];
    let asked = 0;
    for (;;) {
      const nowMs = clock.monotonicMs();
      const due = dueUntil(nowMs - startMs, drainMs * SPREAD, staying.length);
      for (; asked < due; asked++) {
        const connection = staying[asked] as Connection;
        connection.leave();
        leaving.push({ connection, answerUntilMs: Math.min(nowMs + ANSWER_MS, endMs) });
      }
      leaving = leaving.filter((one) => !this.#gone(one, nowMs, endMs));
      if (asked === staying.length && leaving.length === 0) break;
      // Polled: a drain happens once, and nothing on the hot path has to remember that somebody may wait.
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    logger.info(
      { connections: staying.length, drainMs: Math.round(clock.monotonicMs() - startMs) },
      'clients were sent away',
    );
  }

  /** One more step; true when it was the last. */
  #gone({ connection, answerUntilMs }: Leaving, nowMs: number, endMs: number): boolean {
    if (!connection.isOpen) return true;
    if (!connection.hasAnswered && nowMs < answerUntilMs) return false;
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
