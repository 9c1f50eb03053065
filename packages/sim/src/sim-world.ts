import { SeededPrng } from '@sluice/common/prng';
import { Trace } from './trace.ts';

/**
 * Virtual time. Everything that happens in a simulation is an event here: a timer, a disk that answers, a message that
 * arrives. Events run one at a time in the order of their time, then of their making; between two of them every promise
 * that can move on does. Nothing else moves the code under test, so one seed has one history.
 *
 * Each event belongs to a life: one run of one node, from its start to its crash. A life that ended takes its events
 * with it, as a process does; a paused one keeps them, and gets all of them at once when it goes on.
 */
export class SimWorld {
  readonly prng: SeededPrng;
  readonly trace: Trace;
  /** What is nobody's: the network, the nemesis, the clients. */
  readonly outside: Life;
  nowMs = 0;
  /** Whose code runs. */
  current: Life;
  events = 0;
  readonly #heap: SimEvent[] = [];
  #order = 0;
  #failure: { cause: unknown } | undefined;

  /** A turn of an event loop is not free; were it, who waits by `setImmediate` would wait for ever. */
  static readonly TURN_MS = 0.02;
  /** Beyond it the seed is given up: something spins. */
  static readonly EVENTS_MAX = 20_000_000;
  /** So often the real event loop gets a turn, which is when rejections nobody handled are found. */
  static readonly BREATH_EVENTS = 5_000;

  constructor(seed: number) {
    this.prng = new SeededPrng(seed);
    this.trace = new Trace();
    this.outside = new Life(this, 'outside');
    this.current = this.outside;
  }

  life(name: string): Life {
    return new Life(this, name);
  }

  /** Runs `action` after `delayMs`, as part of `life`; not at all when that has ended by then. */
  after(delayMs: number, life: Life, action: () => void): SimEvent {
    const event = new SimEvent(this.nowMs + Math.max(0, delayMs), this.#order++, life, action);
    this.#push(event);
    return event;
  }

  /** A promise that resolves after `delayMs` of the current life, or never. */
  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(delayMs, this.current, resolve);
    });
  }

  /** The first failure is the verdict; the run ends with the event that found it. */
  fail(cause: unknown): void {
    this.#failure ??= { cause };
  }

  get failed(): boolean {
    return this.#failure !== undefined;
  }

  /**
   * Runs until `done` says so (asked between two events), or until `untilMs`. Resolves to whether `done` did.
   * @throws what failed
   */
  run(untilMs: number, done: () => boolean = () => false): Promise<boolean> {
    return new Promise((resolve, reject) => {
      let sinceBreath = 0;
      // A tick runs when no microtask is left, and what it makes runs before the next one.
      const again = (): void => {
        if (++sinceBreath >= SimWorld.BREATH_EVENTS) {
          sinceBreath = 0;
          realSetImmediate(step);
        } else {
          queueMicrotask(nextStep);
        }
      };
      const nextStep = (): void => process.nextTick(step);
      const step = (): void => {
        this.current = this.outside;
        try {
          if (this.#failure !== undefined) throw this.#failure.cause;
          if (done()) {
            resolve(true);
            return;
          }
          const event = this.#heap[0];
          if (event === undefined || event.atMs > untilMs) {
            this.nowMs = Math.max(this.nowMs, untilMs);
            resolve(false);
            return;
          }
          if (++this.events > SimWorld.EVENTS_MAX) throw new Error('too many events: something spins');
          this.#pop();
          this.nowMs = event.atMs;
          this.deliver(event);
        } catch (cause) {
          reject(cause);
          return;
        }
        again();
      };
      again();
    });
  }

  /** As `run`, but asks only every `everyMs`: for questions that cost more than an event. */
  async runUntil(untilMs: number, everyMs: number, done: () => boolean): Promise<boolean> {
    for (;;) {
      if (done()) return true;
      if (this.nowMs >= untilMs) return false;
      await this.run(Math.min(untilMs, this.nowMs + everyMs));
    }
  }

  /** Runs an event now: in its life, or when that goes on, or never. */
  deliver(event: SimEvent): void {
    const { life } = event;
    if (event.cancelled || life.ended) return;
    if (life.paused) {
      life.held.push(event);
      return;
    }
    this.current = life;
    event.action();
  }

  #push(event: SimEvent): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const above = (at - 1) >>> 1;
      const other = heap[above] as SimEvent;
      if (other.before(event)) break;
      heap[at] = other;
      at = above;
    }
    heap[at] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as SimEvent;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let below = at * 2 + 1;
      if (below >= heap.length) break;
      const right = heap[below + 1];
      if (right?.before(heap[below] as SimEvent)) below++;
      const other = heap[below] as SimEvent;
      if (last.before(other)) break;
      heap[at] = other;
      at = below;
    }
    heap[at] = last;
  }
}

/** Taken before anybody replaces it. */
const realSetImmediate = globalThis.setImmediate;

export class SimEvent {
  readonly atMs: number;
  readonly order: number;
  readonly life: Life;
  readonly action: () => void;
  cancelled = false;

  constructor(atMs: number, order: number, life: Life, action: () => void) {
    this.atMs = atMs;
    this.order = order;
    this.life = life;
    this.action = action;
  }

  before(other: SimEvent): boolean {
    return this.atMs < other.atMs || (this.atMs === other.atMs && this.order < other.order);
  }
}

/** One run of one node: a process. */
export class Life {
  readonly name: string;
  readonly #world: SimWorld;
  ended = false;
  paused = false;
  held: SimEvent[] = [];
  readonly #ends: (() => void)[] = [];

  constructor(world: SimWorld, name: string) {
    this.#world = world;
    this.name = name;
  }

  /** SIGKILL: nothing of it runs any more. */
  end(): void {
    if (this.ended) return;
    this.ended = true;
    this.held = [];
    for (const told of this.#ends) told();
  }

  onEnd(told: () => void): void {
    this.#ends.push(told);
  }

  /** SIGSTOP. */
  pause(): void {
    this.paused = true;
  }

  /** SIGCONT: what it missed happens at once, in order. */
  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    const held = this.held;
    this.held = [];
    for (const event of held) {
      this.#world.after(0, this, () => {
        if (!event.cancelled) event.action();
      });
    }
  }
}
