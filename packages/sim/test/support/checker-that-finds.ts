import { Violation } from '../../src/simulation.ts';

/** Which checker finds it; empty when none does. */
export function found(act: () => void): string {
  try {
    act();
    return '';
  } catch (cause) {
    if (cause instanceof Violation) return cause.checker;
    throw cause;
  }
}
