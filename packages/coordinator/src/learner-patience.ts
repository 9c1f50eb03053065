/**
 * How long who learns the metadata has stood still. One whose disk hangs reports that it lives, takes the place of a voter
 * that leaves, and never gets there: a bound on the time to learn would be a guess about links and sizes, but what has
 * moved nothing for a minute is not about to arrive. It is remembered for a while after another one took its place, or it
 * would have that back at once.
 */
export class LearnerPatience {
  /** By node: how far it was, and since when. Of the learners there are, and of former ones that stood still. */
  readonly #seen = new Map<number, { match: number; sinceMs: number }>();

  /** Longer than the metadata of a large cluster takes as one snapshot, during which nothing moves. */
  static readonly STANDSTILL_MS = 60_000;
  static readonly REMEMBERED_MS = 10 * 60_000;

  look(learners: readonly number[], matchOf: (nodeId: number) => number, nowMs: number): void {
    for (const [nodeId, { sinceMs }] of this.#seen) {
      const isRemembered = this.isOver(nodeId, nowMs) && nowMs - sinceMs < LearnerPatience.REMEMBERED_MS;
      if (!learners.includes(nodeId) && !isRemembered) this.#seen.delete(nodeId);
    }
    for (const nodeId of learners) {
      const match = matchOf(nodeId);
      if (this.#seen.get(nodeId)?.match !== match) this.#seen.set(nodeId, { match, sinceMs: nowMs });
    }
  }

  isOver(nodeId: number, nowMs: number): boolean {
    const seen = this.#seen.get(nodeId);
    return seen !== undefined && nowMs - seen.sinceMs >= LearnerPatience.STANDSTILL_MS;
  }

  /** Of another leadership nothing is known. */
  forget(): void {
    this.#seen.clear();
  }
}
