import { SimWorld } from './sim-world.ts';
import { enterWorld } from './virtual-globals.ts';

/** One history from one seed. */
export interface Verdict {
  seed: number;
  scenario: string;
  /** Undefined: nothing was found. */
  failure: Error | undefined;
  traceHash: string;
  virtualMs: number;
  events: number;
  /** What was drawn for the seed, and what came of it. */
  summary: string;
  /** The end of the trace. */
  lastLines: string[];
}

export interface SimulationOptions {
  /** Told every line of the trace. */
  onLine?: ((line: string) => void) | undefined;
}

/** Runs `history` in a world of its own; whatever it throws is the verdict. */
export async function simulate(
  scenario: string,
  seed: number,
  options: SimulationOptions,
  history: (world: SimWorld) => Promise<string>,
): Promise<Verdict> {
  const world = new SimWorld(seed);
  world.trace.listener = options.onLine;
  const leave = enterWorld(world);
  let failure: Error | undefined;
  let summary = '';
  try {
    summary = await history(world);
    // Rejections that nobody handled are told in a turn of the real loop.
    await realTurn();
    if (world.failed) await world.run(world.nowMs);
  } catch (cause) {
    failure = cause instanceof Error ? cause : new Error(String(cause));
  } finally {
    leave();
  }
  return {
    seed,
    scenario,
    failure,
    traceHash: world.trace.hash,
    virtualMs: world.nowMs,
    events: world.events,
    summary,
    lastLines: failure === undefined ? [] : world.trace.last(60),
  };
}

const realSetImmediate = globalThis.setImmediate;
function realTurn(): Promise<void> {
  return new Promise((resolve) => {
    realSetImmediate(resolve);
  });
}

/** A promise of the code under test, driven to its end. */
export async function driven<T>(world: SimWorld, promise: Promise<T>, withinMs: number): Promise<T> {
  let settled: { value: T } | { cause: unknown } | undefined;
  promise.then(
    (value) => {
      settled = { value };
    },
    (cause: unknown) => {
      settled = { cause };
    },
  );
  await world.run(world.nowMs + withinMs, () => settled !== undefined);
  const outcome = settled as { value: T } | { cause: unknown } | undefined;
  if (outcome === undefined) throw new Error(`nothing came of it within ${withinMs} ms`);
  if ('cause' in outcome) throw outcome.cause;
  return outcome.value;
}

/** What a checker found: the history broke a promise. */
export class Violation extends Error {
  readonly checker: string;
  constructor(checker: string, message: string) {
    super(`${checker}: ${message}`);
    this.name = 'Violation';
    this.checker = checker;
  }
}
