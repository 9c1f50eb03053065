import type { Prng } from '@sluice/common/prng';
import type { DispatchStrategy } from './dispatch-strategy.ts';

/**
 * Uniform over the open seats: they stand side by side in one array, so a draw is one index.
 * @hotpath
 */
export class RandomDispatch implements DispatchStrategy {
  readonly #prng: Prng;
  readonly #open: Int32Array;
  /** Where a seat stands in `#open`; -1 while closed. */
  readonly #placeOf: Int32Array;
  #count = 0;

  constructor(seats: number, prng: Prng) {
    this.#prng = prng;
    this.#open = new Int32Array(seats);
    this.#placeOf = new Int32Array(seats).fill(-1);
  }

  open(seat: number): void {
    if (this.#placeOf[seat] !== -1) return;
    this.#placeOf[seat] = this.#count;
    this.#open[this.#count++] = seat;
  }

  close(seat: number): void {
    const place = this.#placeOf[seat] as number;
    if (place === -1) return;
    const last = this.#open[--this.#count] as number;
    this.#open[place] = last;
    this.#placeOf[last] = place;
    this.#placeOf[seat] = -1;
  }

  pick(): number {
    if (this.#count === 0) return -1;
    return this.#open[this.#count === 1 ? 0 : this.#prng.below(this.#count)] as number;
  }
}
