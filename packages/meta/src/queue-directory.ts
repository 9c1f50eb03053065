import { MatchCache } from '@sluice/mqtt/topic/match-cache';
import { TopicTrie } from '@sluice/mqtt/topic/topic-trie';
import type { QueueDefinition } from './queue-definition.ts';

/**
 * The queues of a node's image, by whatever they are asked for. A change costs what changed, not what there is: among a
 * hundred thousand queues, one more is a few microseconds on every node.
 *
 * Publishing asks one question of it for every message: which queues want this topic? The answer per topic is cached. A
 * change of a queue with a plain topic forgets that topic; one with a wildcard forgets all, which is cheaper than
 * looking for those it matches.
 */
export class QueueDirectory {
  readonly #byId = new Map<number, QueueDefinition>();
  readonly #byName = new Map<string, QueueDefinition>();
  /** Oldest first. */
  readonly #byFilter = new Map<string, QueueDefinition[]>();
  readonly #bindings = new TopicTrie<QueueDefinition>();
  readonly #matches = new MatchCache<QueueDefinition>();
  /** In the order of their ids; changed in place, never handed out. */
  readonly #sorted: QueueDefinition[] = [];
  #list: readonly QueueDefinition[] | undefined;

  get(queueId: number): QueueDefinition | undefined {
    return this.#byId.get(queueId);
  }

  named(name: string): QueueDefinition | undefined {
    return this.#byName.get(name);
  }

  /** The oldest with that topic filter. */
  oldestOf(filter: string): QueueDefinition | undefined {
    return this.#byFilter.get(filter)?.[0];
  }

  /** In the order of their creation; the same array while no queue has changed. */
  list(): readonly QueueDefinition[] {
    this.#list ??= this.#sorted.slice();
    return this.#list;
  }

  /** Of the queue that was made last, of those there are; 0 without any. */
  get newestId(): number {
    return this.#sorted.at(-1)?.queueId ?? 0;
  }

  get size(): number {
    return this.#byId.size;
  }

  /** Those that keep a message of this topic, in the order of their creation. */
  wanting(topic: string): readonly QueueDefinition[] {
    let found = this.#matches.get(topic);
    if (found === undefined) {
      const matches: QueueDefinition[] = [];
      this.#bindings.match(topic, (definition) => matches.push(definition));
      matches.sort((a, b) => a.queueId - b.queueId);
      found = matches;
      this.#matches.put(topic, found);
    }
    return found;
  }

  /**
   * Takes the queues of a whole image.
   *
   * @returns ids of those that were made, changed or removed by it.
   */
  reset(queues: Iterable<QueueDefinition>): number[] {
    const touched: number[] = [];
    const kept = new Set<number>();
    for (const definition of queues) {
      kept.add(definition.queueId);
      // A version is given once to one definition: the same version is the same definition.
      if (this.#byId.get(definition.queueId)?.version === definition.version) continue;
      this.put(definition);
      touched.push(definition.queueId);
    }
    if (kept.size === this.#byId.size) return touched;
    for (const queueId of [...this.#byId.keys()]) {
      if (kept.has(queueId)) continue;
      this.remove(queueId);
      touched.push(queueId);
    }
    return touched;
  }

  put(definition: QueueDefinition): void {
    const earlier = this.#byId.get(definition.queueId);
    if (earlier !== undefined) this.#unbind(earlier);
    this.#byId.set(definition.queueId, definition);
    this.#byName.set(definition.name, definition);
    this.#bindings.add(definition.topicFilter, definition);
    this.#matches.outdate(definition.topicFilter);
    const same = this.#byFilter.get(definition.topicFilter);
    if (same === undefined) this.#byFilter.set(definition.topicFilter, [definition]);
    else insertById(same, definition);
    insertById(this.#sorted, definition);
    this.#list = undefined;
  }

  remove(queueId: number): void {
    const earlier = this.#byId.get(queueId);
    if (earlier === undefined) return;
    this.#unbind(earlier);
    this.#byId.delete(queueId);
    removeById(this.#sorted, queueId);
    this.#list = undefined;
  }

  /** Nothing of it holds any more. */
  forget(): void {
    for (const queueId of [...this.#byId.keys()]) this.remove(queueId);
    this.#matches.clear();
  }

  #unbind(earlier: QueueDefinition): void {
    if (this.#byName.get(earlier.name) === earlier) this.#byName.delete(earlier.name);
    this.#bindings.remove(earlier.topicFilter, earlier);
    this.#matches.outdate(earlier.topicFilter);
    const same = this.#byFilter.get(earlier.topicFilter);
    if (same === undefined) return;
    removeById(same, earlier.queueId);
    if (same.length === 0) this.#byFilter.delete(earlier.topicFilter);
  }
}

/** Replaces the one with its id, or takes its place in the order; a new queue has the highest id and goes to the end. */
function insertById(sorted: QueueDefinition[], definition: QueueDefinition): void {
  const last = sorted.at(-1);
  if (last === undefined || last.queueId < definition.queueId) {
    sorted.push(definition);
    return;
  }
  const at = positionOf(sorted, definition.queueId);
  sorted.splice(at, sorted[at]?.queueId === definition.queueId ? 1 : 0, definition);
}

function removeById(sorted: QueueDefinition[], queueId: number): void {
  const at = positionOf(sorted, queueId);
  if (sorted[at]?.queueId === queueId) sorted.splice(at, 1);
}

/** Of the first that is not before `queueId`. */
function positionOf(sorted: readonly QueueDefinition[], queueId: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] as QueueDefinition).queueId < queueId) low = middle + 1;
    else high = middle;
  }
  return low;
}
