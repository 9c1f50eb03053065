import { describe } from '@jest/globals';

/**
 * Statements that wait for work that is under way, by its name. Their tests are written and left out; whoever finishes
 * the work takes its name out of here and the `open` lines out of the statements, and the count goes down.
 */
export const STILL_OPEN: ReadonlySet<string> = new Set(['sessions']);

export function whenDone(work: string, title: string, cases: () => void): void {
  if (STILL_OPEN.has(work)) describe.skip(`${title} (open: needs ${work})`, cases);
  else describe(title, cases);
}
