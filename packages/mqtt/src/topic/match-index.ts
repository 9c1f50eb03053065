import { MatchCache } from './match-cache.ts';
import { TopicTrie } from './topic-trie.ts';

/**
 * What stands under filters, asked for by topic. Publishers repeat their topics, so the list of matches is kept per topic
 * beside the trie, and no list that a change has outdated is found again. The list is the same object for everybody who
 * asks: nobody changes it.
 *
 * @hotpath
 */
export class MatchIndex<V extends NonNullable<unknown>> {
  readonly #trie = new TopicTrie<V>();
  readonly #cache = new MatchCache<V>();

  /** Pairs of filter and value. */
  get size(): number {
    return this.#trie.size;
  }

  get cachedTopics(): number {
    return this.#cache.size;
  }

  add(filter: string, value: V): void {
    if (this.#trie.add(filter, value)) this.#cache.outdate(filter);
  }

  remove(filter: string, value: V): void {
    if (this.#trie.remove(filter, value)) this.#cache.outdate(filter);
  }

  match(topic: string): readonly V[] {
    return this.#cache.get(topic) ?? this.#match(topic);
  }

  #match(topic: string): readonly V[] {
    const values: V[] = [];
    this.#trie.match(topic, (value) => values.push(value));
    this.#cache.put(topic, values);
    return values;
  }
}
