/** Time is an argument. Hosts read it here once a turn and pass it down; pure code never sees this port. */
export interface Clock {
  /** Wall clock, milliseconds since the Unix epoch; may jump. For stamps that leave the process. */
  nowMs(): number;
  /** Monotonic milliseconds from an arbitrary origin; never goes back. For deadlines. */
  monotonicMs(): number;
}

/** Wall clocks of a cluster that are nearer to each other agree. */
export const CLOCK_TOLERANCE_MS = 10_000;

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
};
