import { CLOCK_TOLERANCE_MS, type Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { ClockReading, ClockView } from '@sluice/rpc/contract/topology-feed';

/**
 * The time of day that a node goes by. That of its machine is the obvious answer, and one bad step of it is for good: what
 * a leader stamps is the time of its partition from then on, and what it takes for expired is gone.
 *
 * What a node knows by itself is that its wall clock moved and its monotonic clock did not. That is a bad step, the end of
 * a bad one, or the end of a suspended machine, and only other clocks tell which. So a step is not followed at once: time goes
 * on as it went, and the leading coordinator, who hears all clocks every second, says how far this one is from the time that
 * most of them have (`coordinator/liveness/clock-votes`). Who is near it goes by its own clock; who is not goes by that time.
 *
 * What is said of this clock counts only as long as nothing has happened to it since: not when it was stepped meanwhile, and not
 * when the word was long on its way, since it looks behind by as much. While nobody says anything, time goes on as it does.
 */
export class ClusterClock implements Clock {
  readonly #clock: Clock;
  readonly #logger: Logger;
  /** What is added to the wall clock. */
  #correctionMs = 0;
  #wallMs: number;
  /** Wall minus monotonic time, as it was looked at last. */
  #originMs: number;
  #aheadMs: number | undefined;
  /** Said to be wrong. */
  #isOff = false;
  #isConfirmed = false;
  #askedMs: number | undefined;

  /** The wall clock moved by more than time passed: a step. Who keeps it by small ones is followed. */
  static readonly STEP_MS = 1_000;
  /** From a reading to what is said of it; it makes a clock look behind by less than the tolerance. */
  static readonly ROUND_MS_MAX = 5_000;
  /** So long a node that began waits to be told whether its clock is right. */
  static readonly CONFIRM_MS_MAX = 10_000;

  constructor({ clock, logger }: { clock: Clock; logger: Logger }) {
    this.#clock = clock;
    this.#logger = logger;
    this.#wallMs = clock.nowMs();
    this.#originMs = this.#wallMs - clock.monotonicMs();
  }

  nowMs(): number {
    const wallMs = this.#clock.nowMs();
    // While it is asked often enough, one clock is read and not two.
    const passedMs = wallMs - this.#wallMs;
    if (passedMs > ClusterClock.STEP_MS || passedMs < -ClusterClock.STEP_MS) this.#look(wallMs);
    this.#wallMs = wallMs;
    return Math.max(0, wallMs + this.#correctionMs);
  }

  monotonicMs(): number {
    return this.#clock.monotonicMs();
  }

  /** How far the machine's clock was ahead of the cluster's time when it was told last; undefined: nobody has said so. */
  get aheadMs(): number | undefined {
    return this.#aheadMs;
  }

  /** The machine's clock is not gone by. */
  get isCorrected(): boolean {
    return this.#correctionMs !== 0;
  }

  /** Most clocks of the cluster have been heard; or nobody says so for so long, and there is no better clock than this. */
  isConfirmed(): boolean {
    if (this.#isConfirmed) return true;
    const nowMs = this.#clock.monotonicMs();
    this.#askedMs ??= nowMs;
    this.#isConfirmed = nowMs - this.#askedMs >= ClusterClock.CONFIRM_MS_MAX;
    return this.#isConfirmed;
  }

  reading(): ClockReading {
    const nowMs = this.nowMs();
    return { wallMs: this.#wallMs, nowMs, monotonicMs: Math.floor(this.#clock.monotonicMs()) };
  }

  /** The leading coordinator says so of what it was told. */
  heard(clocks: readonly ClockView[], nodeId: number): void {
    const own = clocks.find((clock) => clock.nodeId === nodeId);
    if (own?.aheadMs === undefined) return;
    const { wallMs, monotonicMs, aheadMs } = own;
    this.nowMs();
    const passedMs = this.#clock.monotonicMs() - monotonicMs;
    const isSteady = Math.abs(this.#wallMs - wallMs - passedMs) <= ClusterClock.STEP_MS;
    if (!isSteady || passedMs > ClusterClock.ROUND_MS_MAX) return;
    this.#isConfirmed = true;
    this.#aheadMs = aheadMs;
    const isOff = Math.abs(aheadMs) > CLOCK_TOLERANCE_MS;
    const correctionMs = isOff ? -aheadMs : 0;
    const isOther = correctionMs !== this.#correctionMs;
    // Within a second it is the wire that differs.
    if (!isOff || Math.abs(correctionMs - this.#correctionMs) > ClusterClock.STEP_MS) this.#correctionMs = correctionMs;
    if (isOff && !this.#isOff) {
      const fields = { aheadMs, hint: 'set the clock of this machine right: see that its time service runs' };
      this.#logger.error(fields, 'the clock of this machine is wrong: this node goes by the time of the others');
    } else if (!isOff && (isOther || this.#isOff)) {
      this.#logger.info({ aheadMs }, 'the clock of this machine agrees with the cluster: it is gone by');
    }
    this.#isOff = isOff;
  }

  #look(wallMs: number): void {
    const originMs = wallMs - this.#clock.monotonicMs();
    const steppedMs = Math.round(originMs - this.#originMs);
    this.#originMs = originMs;
    if (Math.abs(steppedMs) <= ClusterClock.STEP_MS) return;
    this.#correctionMs -= steppedMs;
    this.#logger.warn({ steppedMs }, 'the clock of this machine jumped: it is gone by when others agree with it');
  }
}
