import type { Logger } from '@sluice/common/logger';
import type { Counter, Metrics } from '@sluice/common/metrics';

/** A gateway's channel, of its consumers or of its sessions, as the bound sees it. */
export interface BoundedGateway {
  readonly from: number;
  readonly channel: { readonly unsentBytes: number };
  /** Its consumers, or sessions, are given nothing. */
  isHeld: boolean;
  /** They are to be given nothing, or what their windows say. */
  held(isHeld: boolean): void;
}

/**
 * What waits on this node for one gateway, by each of its channels. The windows of its consumers and sessions bound it, and a
 * thousand workers on images may hold gigabytes together: a channel that lies that far behind would be closed, everything on
 * it given out again, and so on without end. So beyond `UNSENT_BYTES_MAX` they are given nothing, consumers by windows of
 * none, until half of it has left; those of other gateways have their turn meanwhile. What was assigned when that began is
 * still sent: a step of each queue (`DispatchStep.BYTES_MAX`); of sessions, one.
 *
 * Nobody tells when something has left. So it is looked at, and only while somebody is held.
 */
export class DeliveryBound {
  readonly #held = new Set<BoundedGateway>();
  readonly #times: Counter;
  readonly #logger: Logger;
  #timer: NodeJS.Timeout | undefined;

  /** Some hundred milliseconds of a fast link, an eighth of what closes a channel. */
  static readonly UNSENT_BYTES_MAX = 64 * 1024 * 1024;
  /** Half of the bound leaves by a fast link in several of these. */
  static readonly LOOK_MS = 5;

  constructor({ metrics, logger }: { metrics: Metrics; logger: Logger }) {
    this.#logger = logger;
    this.#times = metrics.counter(
      'sluice_store_gateway_held_total',
      'Times that a gateway was given nothing more until it had taken what was on its way to it',
    );
    metrics.collect('sluice_store_gateways_held', 'Gateways that are given nothing in this moment', 'gauge', () => [
      [{}, this.#held.size],
    ]);
  }

  /** Something was sent to it. */
  sent(gateway: BoundedGateway): void {
    const { unsentBytes } = gateway.channel;
    if (unsentBytes <= DeliveryBound.UNSENT_BYTES_MAX || gateway.isHeld) return;
    this.#held.add(gateway);
    this.#times.add();
    this.#logger.debug({ gateway: gateway.from, unsentBytes }, 'a gateway is given nothing until it has taken more');
    gateway.isHeld = true;
    gateway.held(true);
    this.#timer ??= setInterval(() => this.#look(), DeliveryBound.LOOK_MS).unref();
  }

  /** Its channel is closed. */
  forget(gateway: BoundedGateway): void {
    this.#held.delete(gateway);
    this.#rest();
  }

  #look(): void {
    for (const gateway of this.#held) {
      if (gateway.channel.unsentBytes > DeliveryBound.UNSENT_BYTES_MAX / 2) continue;
      this.#held.delete(gateway);
      gateway.isHeld = false;
      gateway.held(false);
    }
    this.#rest();
  }

  #rest(): void {
    if (this.#held.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
