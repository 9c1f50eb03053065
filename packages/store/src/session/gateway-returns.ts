import type { Clock } from '@sluice/common/clock';

/**
 * Gateways that live and have no channel here for the moment. One that lost its channel goes on publishing by the streams
 * that it knew; it comes back by itself, after a pause. Of whoever had a channel it is known when it went. A process that
 * has just begun had nobody's: until everybody had the time to find it, the image says who may come.
 *
 * Whoever is not back by then is dead or cut off, and nobody is held up by it any more.
 */
export class GatewayReturns {
  readonly #clock: Clock;
  readonly #gateways: () => Iterable<number>;
  /** Of those without a channel that had one: until when each is awaited. */
  readonly #leftUntilMs = new Map<number, number>();
  #begunUntilMs = Number.NEGATIVE_INFINITY;

  /** A channel that served well is opened again after 20 ms, looked after every 50. */
  static readonly LEFT_MS_MAX = 200;
  /** Whoever tried for long tries once a second. */
  static readonly BEGUN_MS_MAX = 1_500;

  /** `gateways`: that may live, as far as the cluster's image says. */
  constructor(clock: Clock, gateways: () => Iterable<number>) {
    this.#clock = clock;
    this.#gateways = gateways;
  }

  /** From now on gateways find this process. */
  begin(): void {
    this.#begunUntilMs = this.#clock.monotonicMs() + GatewayReturns.BEGUN_MS_MAX;
  }

  came(gateway: number): void {
    this.#leftUntilMs.delete(gateway);
  }

  /** Its last channel closed. */
  left(gateway: number): void {
    this.#leftUntilMs.set(gateway, this.#clock.monotonicMs() + GatewayReturns.LEFT_MS_MAX);
  }

  /** Until when somebody is awaited; the past: nobody is. */
  untilMs(isHere: (gateway: number) => boolean): number {
    const nowMs = this.#clock.monotonicMs();
    let untilMs = Number.NEGATIVE_INFINITY;
    for (const [gateway, leftUntilMs] of this.#leftUntilMs) {
      if (nowMs >= leftUntilMs) this.#leftUntilMs.delete(gateway);
      else untilMs = Math.max(untilMs, leftUntilMs);
    }
    if (nowMs >= this.#begunUntilMs) return untilMs;
    for (const gateway of this.#gateways()) if (!isHere(gateway)) return this.#begunUntilMs;
    return untilMs;
  }
}
