import { hasWildcard } from './topic-filter.ts';

/**
 * Lists of matches by topic, in two generations: what is asked for moves to the young one, and when that is full the old
 * one is forgotten whole. A map that drops its oldest entry for every new one pays for the holes it leaves, some
 * microseconds each time, just when all topics are new; this costs the same whatever the publishers do.
 *
 * Bounded in topics, in their length, and in the matches held; a list or topic beyond that is not kept.
 *
 * @hotpath
 */
export class MatchCache<M> {
  #young = new Map<string, readonly M[]>();
  #old = new Map<string, readonly M[]>();
  #youngMatches = 0;

  /** Topics held; one that is in both generations counts twice. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  get(topic: string): readonly M[] | undefined {
    const young = this.#young.get(topic);
    if (young !== undefined) return young;
    const old = this.#old.get(topic);
    if (old !== undefined) this.put(topic, old);
    return old;
  }

  put(topic: string, matches: readonly M[]): void {
    if (topic.length > TOPIC_LENGTH_MAX || matches.length > GENERATION_MATCHES_MAX) return;
    if (this.#young.size >= GENERATION_TOPICS_MAX || this.#youngMatches + matches.length > GENERATION_MATCHES_MAX) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#youngMatches = 0;
    }
    this.#young.set(topic, matches);
    this.#youngMatches += matches.length;
  }

  drop(topic: string): void {
    const young = this.#young.get(topic);
    if (young !== undefined) {
      this.#youngMatches -= young.length;
      this.#young.delete(topic);
    }
    this.#old.delete(topic);
  }

  /** What a change of what stands under this filter makes wrong. */
  outdate(filter: string): void {
    if (hasWildcard(filter)) this.clear();
    else this.drop(filter);
  }

  clear(): void {
    if (this.#young.size > 0) this.#young.clear();
    if (this.#old.size > 0) this.#old.clear();
    this.#youngMatches = 0;
  }
}

/** Ten thousand devices that take turns find themselves in one generation. With long topics both are 20 MB. */
export const CACHED_TOPICS_MAX = 32_768;
const GENERATION_TOPICS_MAX = CACHED_TOPICS_MAX / 2;
const TOPIC_LENGTH_MAX = 512;
/** Eight megabytes of references over both generations. */
const GENERATION_MATCHES_MAX = 1 << 19;
