import { ReasonCode } from '@sluice/mqtt/codec/reason-code';
import { keepAliveTimeoutMs } from '@sluice/mqtt/protocol/keepalive';
import type { GatewayServices } from '../gateway-services.ts';
import type { ByteChannel } from './byte-channel.ts';
import { Deadline } from './deadline-wheel.ts';

export interface DeadlineOwner {
  readonly channel: ByteChannel;
  /** Its end was decided; last words may be on their way. */
  readonly isClosing: boolean;
  readonly isUnread: boolean;
  /** Of the CONNECT that was let in, as the server enforces it; 0: none. */
  readonly keepAliveS: number;
  outOfTime(reasonCode: number, why: string): void;
}

/**
 * What a connection has time for, one thing after the other: its CONNECT; the answer of those who are asked about it; then, as
 * long as its client is heard, everything [MQTT-3.1.2-22]; and its last words. A packet stores when it came, and only who
 * looks computes what is due.
 *
 * Whoever is not read cannot be heard, and its end stands behind what was not read: it is probed instead.
 *
 * @hotpath
 */
export class ConnectionDeadline extends Deadline {
  readonly #services: GatewayServices;
  readonly #owner: DeadlineOwner;
  /** Monotonic time of the last bytes. */
  #lastHeardMs: number;
  /** Deadline of the CONNECT, then of the last words; 0 while keep-alive rules. */
  #cutAtMs: number;
  /** Somebody is asked whether it may come in. */
  #isAsked = false;

  constructor(services: GatewayServices, owner: DeadlineOwner) {
    super();
    this.#services = services;
    this.#owner = owner;
    this.#lastHeardMs = services.clock.monotonicMs();
    this.#cutAtMs = this.#lastHeardMs + services.limits.connectTimeoutMs;
    services.wheel.arm(this, this.#cutAtMs);
  }

  heard(nowMs: number): void {
    this.#lastHeardMs = nowMs;
  }

  /** Its CONNECT is here, and what it had of its time is not the stores' to lose: over a slow wire it would come for ever. */
  asked(nowMs: number): void {
    if (this.#cutAtMs === 0) return;
    this.#isAsked = true;
    this.#cutAtMs = nowMs + ANSWER_MS_MAX;
  }

  /** Its CONNECT was in time. */
  admitted(nowMs: number): void {
    const { wheel } = this.#services;
    this.#cutAtMs = 0;
    wheel.disarm(this);
    const { keepAliveS } = this.#owner;
    if (keepAliveS > 0) wheel.arm(this, nowMs + keepAliveTimeoutMs(keepAliveS));
  }

  /** It is not read from now on. */
  unread(nowMs: number): void {
    const { wheel, limits } = this.#services;
    if (!this.isArmed) wheel.arm(this, nowMs + limits.unreadProbeMs);
  }

  /** So long for the last words. */
  linger(): void {
    const { wheel, clock, limits } = this.#services;
    this.#cutAtMs = clock.monotonicMs() + limits.lingerMs;
    wheel.arm(this, this.#cutAtMs);
  }

  end(): void {
    this.#services.wheel.disarm(this);
  }

  expired(nowMs: number): void {
    if (this.#cutAtMs === 0) this.#lookAtKeepAlive(nowMs);
    else if (nowMs < this.#cutAtMs) this.#services.wheel.arm(this, this.#cutAtMs);
    else if (this.#owner.isClosing) this.#owner.channel.destroy();
    else if (this.#isAsked) this.#owner.outOfTime(ReasonCode.SERVER_UNAVAILABLE, 'nobody said whether it may come in');
    else this.#owner.outOfTime(ReasonCode.MAXIMUM_CONNECT_TIME, 'no complete CONNECT in time');
  }

  #lookAtKeepAlive(nowMs: number): void {
    const { channel, keepAliveS, isUnread } = this.#owner;
    const { wheel, limits } = this.#services;
    const timeoutMs = keepAliveTimeoutMs(keepAliveS);
    if (isUnread) {
      wheel.arm(this, nowMs + (timeoutMs || limits.unreadProbeMs));
      channel.probe?.();
      return;
    }
    if (timeoutMs === 0) return;
    const heardMs = Math.max(this.#lastHeardMs, channel.heldBackUntilMs ?? 0);
    if (nowMs - heardMs < timeoutMs) wheel.arm(this, heardMs + timeoutMs);
    else this.#owner.outOfTime(ReasonCode.KEEP_ALIVE_TIMEOUT, 'silent for one and a half times its Keep Alive');
  }
}

/** Stores have five seconds for a session (`StoredSessions.OPEN_MS_MAX`), authenticators before them their own time. */
export const ANSWER_MS_MAX = 10_000;
