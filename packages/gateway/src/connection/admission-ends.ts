/** Whoever was let in until a time. */
export interface Expiring {
  admissionOver(): void;
}

/**
 * Connections that end with the token that let them in, by the second: one look a second at the seconds that there are,
 * and no timer for each. A connection that ends before takes itself out, or a token of a year would hold it for as long.
 */
export class AdmissionEnds {
  readonly #bySecond = new Map<number, Set<Expiring>>();

  add(one: Expiring, atMs: number): void {
    const second = secondOf(atMs);
    const those = this.#bySecond.get(second);
    if (those === undefined) this.#bySecond.set(second, new Set([one]));
    else those.add(one);
  }

  delete(one: Expiring, atMs: number): void {
    const second = secondOf(atMs);
    const those = this.#bySecond.get(second);
    those?.delete(one);
    if (those?.size === 0) this.#bySecond.delete(second);
  }

  get size(): number {
    let size = 0;
    for (const those of this.#bySecond.values()) size += those.size;
    return size;
  }

  advance(nowMs: number): void {
    for (const [second, those] of this.#bySecond) {
      if (second * 1000 > nowMs) continue;
      this.#bySecond.delete(second);
      for (const one of those) one.admissionOver();
    }
  }
}

/** The first one that is not before. */
function secondOf(atMs: number): number {
  return Math.ceil(atMs / 1000);
}
