import type { Prng } from '@sluice/common/prng';

/** What a seed decides, said shortly. */
export class Draw {
  readonly #prng: Prng;
  constructor(prng: Prng) {
    this.#prng = prng;
  }

  /** Uniform integer, both ends included. */
  between(low: number, high: number): number {
    return low + this.#prng.below(high - low + 1);
  }

  /** True once in `times`. */
  onceIn(times: number): boolean {
    return this.#prng.below(times) === 0;
  }

  chance(permille: number): boolean {
    return this.#prng.below(1000) < permille;
  }

  oneOf<T>(choices: readonly T[]): T {
    return choices[this.#prng.below(choices.length)] as T;
  }

  /** All of them in a new order. */
  shuffled<T>(items: readonly T[]): T[] {
    const order = [...items];
    for (let i = order.length - 1; i > 0; i--) {
      const j = this.#prng.below(i + 1);
      [order[i], order[j]] = [order[j] as T, order[i] as T];
    }
    return order;
  }
}
