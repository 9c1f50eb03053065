/**
 * A SUBSCRIBE or UNSUBSCRIBE. One packet may name tens of thousands of filters, and everybody else waits for the turn that
 * looks at them: so it is done in steps, of which the host grants one a turn, and its connection is not read meanwhile.
 */
export interface LongRequest {
  /** True when it is done. */
  step(): boolean;
  /** Its session goes on with another connection, where what was answered holds. */
  abandoned(): void;
}

/** Some 2 us each. */
export const FILTERS_A_STEP = 512;
