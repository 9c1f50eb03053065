import type { Clock } from '@sluice/common/clock';

/**
 * The queues of a node that may have something to hand out, pumped one after the other in one microtask.
 *
 * A microtask each would be the obvious way. But Node.js makes an object and a scope of its own for each, and an entry may
 * be for as many queues as it has records.
 * @hotpath
 */
export class PumpTurn implements Clock {
  readonly #clock: Clock;
  #woken: Pump[] = [];
  #isRunning = false;
  #nowMs = 0;
  #monotonicMs = 0;
  readonly #run = (): void => this.#pumpAll();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** While it pumps: when that began. Asking the system for each queue costs more than most of what is done for one. */
  nowMs(): number {
    return this.#isRunning ? this.#nowMs : this.#clock.nowMs();
  }

  monotonicMs(): number {
    return this.#isRunning ? this.#monotonicMs : this.#clock.monotonicMs();
  }

  /** Is pumped once for each time it was added, in this turn of the event loop. */
  add(pump: Pump): void {
    if (this.#woken.push(pump) === 1) queueMicrotask(this.#run);
  }

  #pumpAll(): void {
    const woken = this.#woken;
    this.#woken = [];
    this.#nowMs = this.#clock.nowMs();
    this.#monotonicMs = this.#clock.monotonicMs();
    this.#isRunning = true;
    try {
      for (let i = 0; i < woken.length; i++) (woken[i] as Pump).pump();
    } finally {
      this.#isRunning = false;
    }
  }
}

export interface Pump {
  /** Throws nothing. */
  pump(): void;
}
