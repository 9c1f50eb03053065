import { MatchCache } from '@sluice/mqtt/topic/match-cache';
import { hasWildcard } from '@sluice/mqtt/topic/topic-filter';
import { TopicTrie } from '@sluice/mqtt/topic/topic-trie';
import type { SessionsResponse } from '@sluice/rpc/contract/sessions';
import type { StreamListener } from '@sluice/store-client/session-client';

/**
 * Which streams of which partitions keep a topic: what stored sessions anywhere subscribe to. Partitions say so, all of
 * theirs when somebody begins to lead them and then what changes; what is known of a partition without a leader goes on
 * to hold. Publishers repeat their topics, so matches are kept by topic.
 *
 * @hotpath
 */
export class StreamRoutes implements StreamListener {
  readonly #trie = new TopicTrie<StreamRoute>();
  readonly #byPartition = new Map<number, Map<number, StreamRoute>>();
  readonly #cache = new MatchCache<StreamRoute>();
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Every partition has told of its streams: until then a publish might miss some. */
  isComplete(partitionCount: number): boolean {
    return partitionCount > 0 && this.#byPartition.size >= partitionCount;
  }

  match(topic: string): readonly StreamRoute[] {
    if (this.#count === 0) return NONE;
    return this.#cache.get(topic) ?? this.#match(topic);
  }

  streams({ partition, isImage, added, removed }: Extract<SessionsResponse, { type: 'streams' }>): void {
    let known = this.#byPartition.get(partition);
    if (known === undefined) {
      known = new Map();
      this.#byPartition.set(partition, known);
    }
    if (isImage) {
      const wanted = new Set(added.map(({ streamId }) => streamId));
      for (const streamId of [...known.keys()]) if (!wanted.has(streamId)) this.#remove(known, streamId);
    }
    for (const streamId of removed) this.#remove(known, streamId);
    for (const { streamId, filter } of added) {
      if (known.has(streamId)) continue;
      const route = { partition, streamId, filter };
      known.set(streamId, route);
      this.#trie.add(filter, route);
      this.#count++;
      this.#outdate(filter);
    }
  }

  #remove(known: Map<number, StreamRoute>, streamId: number): void {
    const route = known.get(streamId);
    if (route === undefined) return;
    known.delete(streamId);
    this.#trie.remove(route.filter, route);
    this.#count--;
    this.#outdate(route.filter);
  }

  #match(topic: string): readonly StreamRoute[] {
    const routes: StreamRoute[] = [];
    this.#trie.match(topic, (route) => routes.push(route));
    this.#cache.put(topic, routes);
    return routes;
  }

  #outdate(filter: string): void {
    if (hasWildcard(filter)) this.#cache.clear();
    else this.#cache.drop(filter);
  }
}

export interface StreamRoute {
  readonly partition: number;
  readonly streamId: number;
  readonly filter: string;
}

const NONE: readonly StreamRoute[] = [];
