/** Time is an argument. Hosts read it here once a turn and pass it down; pure code never sees this port. */
export interface Clock {
  /** Wall clock, milliseconds since the Unix epoch; may jump. For stamps that leave the process. */
  nowMs(): number;
  /** Monotonic milliseconds from an arbitrary origin; never goes back. For deadlines. */
  monotonicMs(): number;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
};
