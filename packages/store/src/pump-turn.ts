/**
 * The queues of a partition that may have something to hand out, pumped one after the other in one microtask.
 *
 * A microtask each would be the obvious way. But Node.js makes an object and a scope of its own for each, and an entry may
 * be for as many queues as it has records.
 * @hotpath
 */
export class PumpTurn {
  #woken: Pump[] = [];
  readonly #run = (): void => this.#pumpAll();

  /** Is pumped once for each time it was added, in this turn of the event loop. */
  add(pump: Pump): void {
    if (this.#woken.push(pump) === 1) queueMicrotask(this.#run);
  }

  #pumpAll(): void {
    const woken = this.#woken;
    this.#woken = [];
    for (let i = 0; i < woken.length; i++) (woken[i] as Pump).pump();
  }
}

export interface Pump {
  /** Throws nothing. */
  pump(): void;
}
