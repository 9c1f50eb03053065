import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { Properties } from '@sluice/mqtt/codec/packet';
import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import type { Connection } from './connection/connection.ts';
import type { ConnectionTable } from './connection/connection-table.ts';
import { Departures } from './departures.ts';
import type { GatewayMetrics } from './gateway-metrics.ts';

/**
 * Sends everybody to other gateways. All at once would bring all of them to the others in one second, so they go at a pace
 * the others do not feel, and faster only where there are too many for the time there is. When the time is over, who is
 * left goes without waiting.
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

  /** Each is a handshake elsewhere, a millisecond or two of a processor with TLS. */
  static readonly CONNECTIONS_PER_SECOND = 100;

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
      const { serverReference = '', moved = false, perSecond = GatewayDrain.CONNECTIONS_PER_SECOND } = options;
      this.reasonCode = moved ? ReasonCode.SERVER_MOVED : ReasonCode.USE_ANOTHER_SERVER;
      this.properties = serverReference === '' ? undefined : { serverReference };
      this.#options.metrics.draining.set(1);
      const round: Round = { startMs, endMs, perSecond, done: Promise.resolve() };
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
    const departures = new Departures();
    let asked = 0;
    for (;;) {
      const nowMs = clock.monotonicMs();
      const isOver = this.#round !== round;
      const due = isOver ? asked : dueUntil(nowMs, round, staying.length);
      for (; asked < due; asked++) departures.begin(staying[asked] as Connection, nowMs);
      departures.advance(nowMs, round.endMs, this);
      if (departures.count === 0 && (isOver || asked === staying.length)) break;
      await new Promise((resolve) => setTimeout(resolve, Departures.POLL_MS));
    }
    logger.info(
      { connections: asked, drainMs: Math.round(clock.monotonicMs() - round.startMs) },
      'clients were sent away',
    );
  }
}

export interface DrainOptions {
  drainMs: number;
  /** Another gateway's address for MQTT 5's Server Reference: `host:port`, several separated by spaces. */
  serverReference?: string | undefined;
  /** For good: 0x9D in place of 0x9C. */
  moved?: boolean;
  /** How many go a second, unless the time there is asks for more. Absent: `GatewayDrain.CONNECTIONS_PER_SECOND`. */
  perSecond?: number;
}

interface Round {
  startMs: number;
  endMs: number;
  perSecond: number;
  done: Promise<void>;
}

/** How many of `count` are to have been asked by now. */
function dueUntil(nowMs: number, { startMs, endMs, perSecond }: Round, count: number): number {
  const spreadMs = Math.min((endMs - startMs) * SPREAD, (count / perSecond) * 1000);
  const elapsedMs = nowMs - startMs;
  return elapsedMs >= spreadMs ? count : Math.ceil((count * elapsedMs) / spreadMs);
}

/** Part of the time in which they are asked to go; the rest is for the last of them to be answered. */
const SPREAD = 0.6;
