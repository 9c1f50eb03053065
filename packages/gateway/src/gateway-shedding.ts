import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import type { Connection } from './connection/connection.ts';
import type { ConnectionTable } from './connection/connection-table.ts';
import { Departures } from './departures.ts';
import type { GatewayDrain } from './gateway-drain.ts';

/**
 * Sends connections that are too many here to other gateways: MQTT connections last for weeks, so a gateway that was added
 * stays empty while the others are full. The oldest go first, at a given pace, until no more than the target are here; who
 * comes back is the newest then, and its turn comes after everybody else's. New clients are let in all the while, so the
 * number may not fall where a balancer sends everybody back: after some times as many as there were too many it ends, too.
 */
export class GatewayShedding {
  readonly #options: { table: ConnectionTable; clock: Clock; logger: Logger; drain: GatewayDrain };
  #round: Round | undefined;
  /** Beyond the end of a round, until who was asked is gone: a round that begins meanwhile is its next. */
  #isRunning = false;
  /** By the present round, or the last. */
  sent = 0;

  /** Of those that were too many: half come back where a balancer has two gateways to choose from. */
  static readonly SENDS_PER_EXCESS_MAX = 4;

  constructor(options: { table: ConnectionTable; clock: Clock; logger: Logger; drain: GatewayDrain }) {
    this.#options = options;
  }

  get active(): boolean {
    return this.#round !== undefined;
  }

  /** Down to how many; those that are here when nothing is to be done. */
  get target(): number {
    return this.#round?.target ?? this.#options.table.size;
  }

  /** One under way goes on with the new figures. */
  start(wish: SheddingWish): void {
    const { table, drain } = this.#options;
    const excess = table.size - wish.target;
    if (excess <= 0 || drain.active) {
      this.stop();
      return;
    }
    this.sent = 0;
    this.#round = { ...wish, sendsMax: excess * GatewayShedding.SENDS_PER_EXCESS_MAX };
    if (!this.#isRunning) void this.#shed();
  }

  /** Who was asked to go goes, the others stay. */
  stop(): void {
    this.#round = undefined;
  }

  async #shed(): Promise<void> {
    this.#isRunning = true;
    const { table, clock, drain } = this.#options;
    const departures = new Departures();
    /** Until their sockets are closed: the table has them as long. */
    const going = new Set<Connection>();
    let round = this.#round as Round;
    let owed = 0;
    let lookedMs = clock.monotonicMs();
    for (;;) {
      const nowMs = clock.monotonicMs();
      round = this.#round ?? round;
      owed = Math.min(owed + ((nowMs - lookedMs) * round.perSecond) / 1000, Math.max(1, round.perSecond * BURST_S));
      lookedMs = nowMs;
      for (const connection of going) if (!table.has(connection)) going.delete(connection);
      if (this.#isDone(round, table.size - going.size) || drain.active) this.#end();
      for (const connection of this.#due(going, owed)) {
        departures.begin(connection, nowMs);
        going.add(connection);
        owed--;
        this.sent++;
      }
      const { serverReference = '' } = round;
      const properties = serverReference === '' ? undefined : { serverReference };
      departures.advance(nowMs, Number.POSITIVE_INFINITY, { reasonCode: ReasonCode.USE_ANOTHER_SERVER, properties });
      if (this.#round === undefined && departures.count === 0) {
        this.#isRunning = false;
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, Departures.POLL_MS));
    }
  }

  #isDone({ target, sendsMax }: Round, staying: number): boolean {
    return staying <= target || this.sent >= sendsMax;
  }

  #end(): void {
    if (this.#round === undefined) return;
    const { table, logger } = this.#options;
    const { target } = this.#round;
    logger.info({ connections: table.size, target, sent: this.sent }, 'connections were sent to other gateways');
    this.#round = undefined;
  }

  /** The oldest that stay, as many as may go now. */
  #due(going: ReadonlySet<Connection>, owed: number): Connection[] {
    const due: Connection[] = [];
    const round = this.#round;
    if (round === undefined) return due;
    const { table } = this.#options;
    const room = Math.min(Math.floor(owed), table.size - going.size - round.target, round.sendsMax - this.sent);
    if (room <= 0) return due;
    for (const connection of table.connections()) {
      if (!connection.isOpen || going.has(connection)) continue;
      due.push(connection);
      if (due.length === room) break;
    }
    return due;
  }
}

export interface SheddingWish {
  /** How many connections shall be here. */
  target: number;
  perSecond: number;
  /** Other gateways' addresses for MQTT 5's Server Reference: `host:port`, separated by spaces. */
  serverReference?: string | undefined;
}

interface Round extends SheddingWish {
  sendsMax: number;
}

/** What a process that was paused makes up for at once, at most. */
const BURST_S = 0.1;
