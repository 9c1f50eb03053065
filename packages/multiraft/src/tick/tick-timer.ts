import { TICK_MS } from '../raft-timing.ts';

/**
 * Ticks every `TICK_MS` for as long as somebody needs that, and only every so manieth of it otherwise: a timer that runs
 * ten times a second costs an idle node more than all it has to say. What counts ticks is told how many have passed.
 */
export class TickTimer {
  readonly #idleTicks: number;
  readonly #tick: (ticks: number) => boolean;
  #timer: NodeJS.Timeout | undefined;

  /** `tick` says whether the next one is needed. */
  constructor(idleTicks: number, tick: (ticks: number) => boolean) {
    this.#idleTicks = idleTicks;
    this.#tick = tick;
  }

  start(): void {
    this.#after(1);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #after(ticks: number): void {
    const timer = setTimeout(() => {
      const isNeeded = this.#tick(ticks);
      if (this.#timer === timer) this.#after(isNeeded ? 1 : this.#idleTicks);
    }, ticks * TICK_MS);
    this.#timer = timer;
  }
}
