import { MatchCache } from '@sluice/mqtt/topic/match-cache';
import { TopicTrie } from '@sluice/mqtt/topic/topic-trie';
import type { LiveRoute } from '@sluice/rpc/contract/live';

/**
 * Which other gateways want a topic. All of their filters stand in one trie, so that a publish costs one match whatever
 * the number of gateways, and the answer is kept by topic as that of the local subscriptions is: a gateway appears in it
 * once, however many of its filters match, a `$share` group once, however many gateways have members of it.
 *
 * Gateways say what they want and take it back in any order, and twice after a channel began anew: everything here is
 * idempotent. `groupChanged` is told when a group gets its first gateway and loses its last.
 *
 * @hotpath
 */
export class RemoteRoutes<G extends NonNullable<unknown>> {
  readonly #trie = new TopicTrie<RemoteFilter<G> | RemoteGroup<G>>();
  readonly #filters = new Map<string, RemoteFilter<G>>();
  /** By topic filter with its `$share` prefix. */
  readonly #groups = new Map<string, RemoteGroup<G>>();
  readonly #byGateway = new Map<G, Set<RemoteFilter<G> | RemoteGroup<G>>>();
  readonly #cache = new MatchCache<G | RemoteGroup<G>>();
  readonly #groupChanged: (topicFilter: string, isElsewhere: boolean) => void;
  #size = 0;

  constructor(groupChanged: (topicFilter: string, isElsewhere: boolean) => void) {
    this.#groupChanged = groupChanged;
  }

  /** Pairs of route and gateway. */
  get size(): number {
    return this.#size;
  }

  add(gateway: G, route: LiveRoute): void {
    const place = route.share === '' ? this.#filterFor(route.filter) : this.#groupFor(route);
    if (place.gateways.includes(gateway)) return;
    place.gateways.push(gateway);
    this.#size++;
    let held = this.#byGateway.get(gateway);
    if (held === undefined) {
      held = new Set();
      this.#byGateway.set(gateway, held);
    }
    held.add(place);
    if (!(place instanceof RemoteGroup)) this.#cache.outdate(place.filter);
  }

  remove(gateway: G, route: LiveRoute): void {
    const place = route.share === '' ? this.#filters.get(route.filter) : this.#groups.get(topicFilterOf(route));
    if (place === undefined || !place.gateways.includes(gateway)) return;
    this.#byGateway.get(gateway)?.delete(place);
    this.#leave(gateway, place);
  }

  /** The gateway is gone, or begins anew. */
  removeAll(gateway: G): void {
    const held = this.#byGateway.get(gateway);
    if (held === undefined) return;
    this.#byGateway.delete(gateway);
    for (const place of held) this.#leave(gateway, place);
  }

  match(topic: string): readonly (G | RemoteGroup<G>)[] {
    return this.#cache.get(topic) ?? this.#match(topic);
  }

  #match(topic: string): readonly (G | RemoteGroup<G>)[] {
    const found = new Set<G | RemoteGroup<G>>();
    this.#trie.match(topic, (place) => {
      if (place instanceof RemoteGroup) found.add(place);
      else for (const gateway of place.gateways) found.add(gateway);
    });
    const matches = [...found];
    this.#cache.put(topic, matches);
    return matches;
  }

  #filterFor(filter: string): RemoteFilter<G> {
    let place = this.#filters.get(filter);
    if (place === undefined) {
      place = new RemoteFilter<G>(filter);
      this.#filters.set(filter, place);
      this.#trie.add(filter, place);
    }
    return place;
  }

  #groupFor(route: LiveRoute): RemoteGroup<G> {
    const topicFilter = topicFilterOf(route);
    let group = this.#groups.get(topicFilter);
    if (group === undefined) {
      group = new RemoteGroup<G>(topicFilter, { filter: route.filter, share: route.share });
      this.#groups.set(topicFilter, group);
      this.#trie.add(route.filter, group);
      this.#cache.outdate(route.filter);
      this.#groupChanged(topicFilter, true);
    }
    return group;
  }

  #leave(gateway: G, place: RemoteFilter<G> | RemoteGroup<G>): void {
    this.#size--;
    place.gateways.splice(place.gateways.indexOf(gateway), 1);
    const isEmpty = place.gateways.length === 0;
    if (isEmpty) this.#trie.remove(place.filter, place);
    if (place instanceof RemoteGroup) {
      // Its list is read when a message is dealt: nobody has a copy.
      if (!isEmpty) return;
      this.#groups.delete(place.topicFilter);
      this.#groupChanged(place.topicFilter, false);
    } else if (isEmpty) this.#filters.delete(place.filter);
    this.#cache.outdate(place.filter);
  }
}

class RemoteFilter<G> {
  readonly filter: string;
  readonly gateways: G[] = [];

  constructor(filter: string) {
    this.filter = filter;
  }
}

/** A `$share` group with members on other gateways; whether there are some here, too, the local router knows. */
export class RemoteGroup<G> {
  readonly topicFilter: string;
  readonly route: LiveRoute;
  readonly gateways: G[] = [];
  /** Whose turn it is: a place in `gateways`, or behind them for this gateway itself. */
  turn = 0;

  constructor(topicFilter: string, route: LiveRoute) {
    this.topicFilter = topicFilter;
    this.route = route;
  }

  get filter(): string {
    return this.route.filter;
  }
}

export function topicFilterOf(route: LiveRoute): string {
  return route.share === '' ? route.filter : `$share/${route.share}/${route.filter}`;
}
