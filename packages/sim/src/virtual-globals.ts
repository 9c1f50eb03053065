import type { Clock } from '@sluice/common/clock';
import { type SimEvent, SimWorld } from './sim-world.ts';

/**
 * The code under test takes its timers from the globals and its time from a port. While a simulation runs, the globals
 * are those of its world; what would let the real world in (the time of day, chance) throws, so that a run that is not
 * a function of its seed is found at the call and not by luck.
 *
 * One simulation at a time in a process: a second would take the first one's globals for the real ones.
 */
export function enterWorld(world: SimWorld): () => void {
  if (entered) throw new Error('a simulation is still going on in this process: wait for its verdict first');
  entered = true;
  const target = globalThis as unknown as Record<string, unknown>;
  const saved: [object, string, PropertyDescriptor | undefined][] = [];
  const replace = (owner: object, name: string, value: unknown): void => {
    saved.push([owner, name, Object.getOwnPropertyDescriptor(owner, name)]);
    Object.defineProperty(owner, name, { value, configurable: true, writable: true, enumerable: true });
  };
  const clear = (timer: unknown): void => {
    if (timer instanceof VirtualTimer) timer.clear();
  };
  type Callback = (...args: unknown[]) => void;
  replace(target, 'setTimeout', (callback: Callback, delayMs = 1, ...args: unknown[]) => {
    return new VirtualTimer(world, () => callback(...args), Math.max(1, Number(delayMs) || 0), false);
  });
  replace(target, 'setInterval', (callback: Callback, delayMs = 1, ...args: unknown[]) => {
    return new VirtualTimer(world, () => callback(...args), Math.max(1, Number(delayMs) || 0), true);
  });
  replace(target, 'setImmediate', (callback: Callback, ...args: unknown[]) => {
    return new VirtualTimer(world, () => callback(...args), SimWorld.TURN_MS, false);
  });
  for (const name of ['clearTimeout', 'clearInterval', 'clearImmediate']) replace(target, name, clear);
  for (const [owner, name] of REAL_WORLD) {
    const real = (owner as Record<string, unknown>)[name] as (...args: unknown[]) => unknown;
    replace(owner, name, (...args: unknown[]) => {
      const error = new Error(`${name} was called within a simulation: its result is not a function of the seed`);
      // Nothing here runs by a timer of the process: that is somebody else's, who shares it (another test's, for one).
      if (error.stack?.includes(REAL_TIMERS)) return real.apply(owner, args);
      world.fail(error);
      throw error;
    });
  }
  const onRejection = (cause: unknown): void => world.fail(cause);
  process.on('unhandledRejection', onRejection);
  return () => {
    process.off('unhandledRejection', onRejection);
    for (const [owner, name, descriptor] of saved.reverse()) {
      if (descriptor === undefined) delete (owner as Record<string, unknown>)[name];
      else Object.defineProperty(owner, name, descriptor);
    }
    entered = false;
  };
}

let entered = false;

const REAL_TIMERS = 'node:internal/timers';
const REAL_WORLD: readonly [object, string][] = [
  [Date, 'now'],
  [Math, 'random'],
  [performance, 'now'],
  [process, 'hrtime'],
];

class VirtualTimer {
  readonly #world: SimWorld;
  readonly #act: () => void;
  readonly #delayMs: number;
  readonly #repeats: boolean;
  #event: SimEvent;

  constructor(world: SimWorld, act: () => void, delayMs: number, repeats: boolean) {
    this.#world = world;
    this.#act = act;
    this.#delayMs = delayMs;
    this.#repeats = repeats;
    this.#event = this.#schedule();
  }

  #schedule(): SimEvent {
    return this.#world.after(this.#delayMs, this.#world.current, () => {
      if (this.#repeats) this.#event = this.#schedule();
      try {
        this.#act();
      } catch (cause) {
        // What an uncaught exception does to a process is a finding, never part of a fault.
        this.#world.fail(cause);
      }
    });
  }

  clear(): void {
    this.#event.cancelled = true;
  }
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
  hasRef(): boolean {
    return true;
  }
  refresh(): this {
    this.#event.cancelled = true;
    this.#event = this.#schedule();
    return this;
  }
}

/** The clock of one node: monotonic time is the world's, its wall clock may be off and may jump. */
export class SimClock implements Clock {
  readonly #world: SimWorld;
  /** Wall time minus virtual time. */
  offsetMs: number;

  constructor(world: SimWorld, offsetMs: number) {
    this.#world = world;
    this.offsetMs = offsetMs;
  }

  nowMs(): number {
    return Math.floor(this.#world.nowMs + this.offsetMs);
  }

  monotonicMs(): number {
    return this.#world.nowMs;
  }
}
