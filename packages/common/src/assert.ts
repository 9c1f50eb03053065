/**
 * Assertions stay on in production: a broken invariant crashes the process before it can corrupt what is on disk.
 * `why` says why the condition must hold, not that it did not.
 */
export function assert(condition: unknown, why: string): asserts condition {
  if (!condition) throw new AssertionFailed(why);
}

/** A bug in Sluice, never a condition of the environment or of a client's input. */
export class AssertionFailed extends Error {
  override readonly name = 'AssertionFailed';
}
