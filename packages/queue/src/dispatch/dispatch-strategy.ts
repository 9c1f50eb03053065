/**
 * Which consumer gets the next record. A strategy sees seats, not consumers: a seat is *open* while its consumer holds
 * less than its window, and only open seats are picked, so no strategy can assign beyond credit. Whoever decides per
 * fetched batch instead of per record gives a whole batch to one consumer; every strategy here decides per record.
 */
export interface DispatchStrategy {
  /** The seat may be picked; called again whenever the number it holds changes. */
  open(seat: number, held: number): void;
  /** The seat may not be picked. Closing a closed seat changes nothing. */
  close(seat: number): void;
  /** An open seat, or -1 when none is open. `lastServed` is the seat picked before, -1 at first. */
  pick(lastServed: number): number;
}

export type DispatchStrategyName = 'random' | 'round_robin' | 'least_inflight';
