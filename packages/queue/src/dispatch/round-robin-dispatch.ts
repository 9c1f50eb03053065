import type { DispatchStrategy } from './dispatch-strategy.ts';
import { SeatTree } from './seat-tree.ts';

/**
 * The next open seat in join order after the one served last; who joins or leaves in between does not restart the
 * round.
 * @hotpath
 */
export class RoundRobinDispatch implements DispatchStrategy {
  readonly #seats: SeatTree;

  constructor(seats: number) {
    this.#seats = new SeatTree(seats);
  }

  open(seat: number): void {
    this.#seats.set(seat, 0);
  }

  close(seat: number): void {
    this.#seats.close(seat);
  }

  pick(lastServed: number): number {
    return this.#seats.nextAtMost(0, lastServed);
  }
}
