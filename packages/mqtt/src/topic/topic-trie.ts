import { assert } from '@sluice/common/assert';
import { hasWildcard } from './topic-filter.ts';
import { isDollarTopic } from './topic-name.ts';

/**
 * Many filters against one topic. Walking all filters costs what a million devices cost; a recursive trie overflows the
 * stack on a deep topic, and one that retries `+` and literal children for each level does the same work again and
 * again. Here filters without a wildcard are looked up whole in one map, and the others stand in a trie that is walked
 * level by level with a frontier: a node has one parent, so it enters the frontier at most once per match. Work is
 * bounded by the nodes whose path matches a prefix of the topic, memory by the levels of the filters held.
 *
 * Values of one filter form a set. Order of visits is not promised. Levels are keys of maps, never of objects: a level
 * called `__proto__` is a level like any other. Filters and topics are valid (`topic-filter`, `topic-name`); the number
 * of filters is bounded by whoever adds them.
 *
 * @hotpath
 */
export class TopicTrie<V extends NonNullable<unknown>> {
  readonly #exact = new Map<string, ValueSet<V>>();
  readonly #root = new TrieNode<V>(undefined, '');
  #size = 0;
  #visiting = false;
  /** Kept between matches so that a match allocates nothing but its level strings. */
  #frontier: TrieNode<V>[] = [];
  #next: TrieNode<V>[] = [];

  /** Pairs of filter and value. */
  get size(): number {
    return this.#size;
  }

  /** False when the filter already holds the value. */
  add(filter: string, value: V): boolean {
    assert(!this.#visiting, 'a visitor must not change the trie it is shown');
    const added = hasWildcard(filter) ? this.#descend(filter).add(value) : this.#addExact(filter, value);
    if (added) this.#size++;
    return added;
  }

  /** False when the filter did not hold the value. Nodes that lead to nothing any more are dropped. */
  remove(filter: string, value: V): boolean {
    assert(!this.#visiting, 'a visitor must not change the trie it is shown');
    const removed = hasWildcard(filter) ? this.#removeWildcard(filter, value) : this.#removeExact(filter, value);
    if (removed) this.#size--;
    return removed;
  }

  /** Shows every value whose filter matches, once per filter. The visitor neither changes nor matches this trie. */
  match(topic: string, visit: (value: V) => void): void {
    assert(!this.#visiting, 'a visitor must not match the trie it is shown');
    this.#visiting = true;
    try {
      this.#exact.get(topic)?.each(visit);
      if (this.#root.hasChildren) this.#walk(topic, visit);
    } finally {
      this.#visiting = false;
      this.#frontier.length = 0;
      this.#next.length = 0;
    }
  }

  #walk(topic: string, visit: (value: V) => void): void {
    let frontier = this.#frontier;
    let next = this.#next;
    frontier.push(this.#root);
    // [MQTT-4.7.2-1]: wildcards at the first level do not match topics that begin with $.
    let wildcards = !isDollarTopic(topic);
    let at = 0;
    while (frontier.length > 0) {
      const slash = at > topic.length ? -2 : topic.indexOf('/', at);
      const ended = slash === -2;
      const level = ended ? '' : topic.slice(at, slash < 0 ? topic.length : slash);
      for (let i = 0; i < frontier.length; i++) {
        const node = frontier[i] as TrieNode<V>;
        // `#` stands for the rest, and for no rest at all: `a/#` matches `a`.
        if (wildcards && node.rest !== undefined) node.rest.each(visit);
        if (ended) {
          node.values?.each(visit);
          continue;
        }
        if (wildcards && node.any !== undefined) next.push(node.any);
        const child = node.child(level);
        if (child !== undefined) next.push(child);
      }
      if (ended) return;
      wildcards = true;
      at = slash < 0 ? topic.length + 1 : slash + 1;
      const spent = frontier;
      frontier = next;
      next = spent;
      next.length = 0;
    }
  }

  #addExact(filter: string, value: V): boolean {
    let values = this.#exact.get(filter);
    if (values === undefined) {
      values = new ValueSet<V>();
      this.#exact.set(filter, values);
    }
    return values.add(value);
  }

  #removeExact(filter: string, value: V): boolean {
    const values = this.#exact.get(filter);
    if (values === undefined || !values.remove(value)) return false;
    if (values.isEmpty) this.#exact.delete(filter);
    return true;
  }

  /** The place of a filter, made when missing. A final `#` is a set of its parent, not a node. */
  #descend(filter: string): ValueSet<V> {
    let node = this.#root;
    for (let at = 0; at <= filter.length; ) {
      const slash = filter.indexOf('/', at);
      const end = slash < 0 ? filter.length : slash;
      const level = filter.slice(at, end);
      if (level === '#') {
        node.rest ??= new ValueSet<V>();
        return node.rest;
      }
      node = node.childFor(level);
      at = end + 1;
    }
    node.values ??= new ValueSet<V>();
    return node.values;
  }

  #removeWildcard(filter: string, value: V): boolean {
    let node: TrieNode<V> | undefined = this.#root;
    let rest = false;
    for (let at = 0; at <= filter.length && !rest; ) {
      const slash: number = filter.indexOf('/', at);
      const end = slash < 0 ? filter.length : slash;
      const level = filter.slice(at, end);
      if (level === '#') rest = true;
      else node = level === '+' ? node.any : node.child(level);
      if (node === undefined) return false;
      at = end + 1;
    }
    const values = rest ? node.rest : node.values;
    if (values === undefined || !values.remove(value)) return false;
    if (rest && values.isEmpty) node.rest = undefined;
    else if (values.isEmpty) node.values = undefined;
    while (node.parent !== undefined && node.isEmpty) {
      node.parent.drop(node.level);
      node = node.parent;
    }
    return true;
  }
}

/**
 * One level of the wildcard filters. `rest` holds the values of filters that end here with `#`.
 *
 * Devices have filters of their own, so most nodes lead to one other and few end a filter: a map is made for the second
 * child, a set for the first value.
 */
class TrieNode<V extends NonNullable<unknown>> {
  readonly parent: TrieNode<V> | undefined;
  readonly level: string;
  /** Values of the filters that end at this level. */
  values: ValueSet<V> | undefined = undefined;
  rest: ValueSet<V> | undefined = undefined;
  any: TrieNode<V> | undefined = undefined;
  /** The only child, or all of them. */
  #child: TrieNode<V> | undefined = undefined;
  #children: Map<string, TrieNode<V>> | undefined = undefined;

  constructor(parent: TrieNode<V> | undefined, level: string) {
    this.parent = parent;
    this.level = level;
  }

  get hasChildren(): boolean {
    return (
      this.rest !== undefined || this.any !== undefined || this.#child !== undefined || this.#children !== undefined
    );
  }

  get isEmpty(): boolean {
    return this.values === undefined && !this.hasChildren;
  }

  /** Not of a wildcard. */
  child(level: string): TrieNode<V> | undefined {
    const only = this.#child;
    if (only !== undefined) return only.level === level ? only : undefined;
    return this.#children?.get(level);
  }

  childFor(level: string): TrieNode<V> {
    if (level === '+') {
      this.any ??= new TrieNode<V>(this, level);
      return this.any;
    }
    const former = this.child(level);
    if (former !== undefined) return former;
    const child = new TrieNode<V>(this, level);
    if (this.#children !== undefined) this.#children.set(level, child);
    else if (this.#child === undefined) this.#child = child;
    else {
      this.#children = new Map([
        [this.#child.level, this.#child],
        [level, child],
      ]);
      this.#child = undefined;
    }
    return child;
  }

  drop(level: string): void {
    if (level === '+') {
      this.any = undefined;
      return;
    }
    if (this.#child?.level === level) this.#child = undefined;
    this.#children?.delete(level);
    if (this.#children?.size === 0) this.#children = undefined;
  }
}

/** Most filters have one value: the set is made for the second. */
class ValueSet<V extends NonNullable<unknown>> {
  #only: V | undefined = undefined;
  #many: Set<V> | undefined = undefined;

  get isEmpty(): boolean {
    return this.#only === undefined && this.#many === undefined;
  }

  add(value: V): boolean {
    if (this.#many !== undefined) {
      if (this.#many.has(value)) return false;
      this.#many.add(value);
      return true;
    }
    if (this.#only === undefined) {
      this.#only = value;
      return true;
    }
    if (this.#only === value) return false;
    this.#many = new Set([this.#only, value]);
    this.#only = undefined;
    return true;
  }

  remove(value: V): boolean {
    if (this.#many !== undefined) {
      if (!this.#many.delete(value)) return false;
      if (this.#many.size === 0) this.#many = undefined;
      return true;
    }
    if (this.#only !== value) return false;
    this.#only = undefined;
    return true;
  }

  each(visit: (value: V) => void): void {
    if (this.#only !== undefined) visit(this.#only);
    else if (this.#many !== undefined) for (const value of this.#many) visit(value);
  }
}
