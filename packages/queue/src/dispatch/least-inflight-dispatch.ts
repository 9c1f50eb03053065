import type { DispatchStrategy } from './dispatch-strategy.ts';
import { SeatTree } from './seat-tree.ts';

/**
 * The open seat that holds least; among equals the next in join order after the one served last, so that idle
 * consumers share a trickle instead of the first taking all of it.
 * @hotpath
 */
export class LeastInflightDispatch implements DispatchStrategy {
  readonly #seats: SeatTree;

  constructor(seats: number) {
    this.#seats = new SeatTree(seats);
  }

  open(seat: number, held: number): void {
    this.#seats.set(seat, held);
  }

  close(seat: number): void {
    this.#seats.close(seat);
  }

  pick(lastServed: number): number {
    return this.#seats.nextAtMost(this.#seats.least, lastServed);
  }
}
