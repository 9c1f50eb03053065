/** How many connections each address has, where that is bounded: one client must not take the places of all. */
export class ConnectionsPerAddress {
  readonly #max: number;
  readonly #counts = new Map<string, number>();

  /** 0: any number. */
  constructor(max: number) {
    this.#max = max;
  }

  /** Otherwise nobody is counted, and nobody need enter or leave. */
  get isBounded(): boolean {
    return this.#max !== 0;
  }

  /** False when it has as many as it may. True is followed by one `leave`. */
  enter(host: string): boolean {
    if (this.#max === 0) return true;
    const count = this.#counts.get(host) ?? 0;
    if (count >= this.#max) return false;
    this.#counts.set(host, count + 1);
    return true;
  }

  leave(host: string): void {
    const count = this.#counts.get(host);
    if (count === undefined) return;
    if (count === 1) this.#counts.delete(host);
    else this.#counts.set(host, count - 1);
  }
}
