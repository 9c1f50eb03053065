import { assert } from '@sluice/common/assert';
import { TopicTrie } from '@sluice/mqtt/topic/topic-trie';
import type { QueueDefinition } from './queue-definition.ts';

/**
 * A node's image of the cluster, numbered by epoch. The coordinators' machine is the source; every node holds the
 * newest image it has seen, kept up to date by deltas, and acts on nothing else.
 *
 * Publishing asks one question of it for every message: which queues want this topic? The answer per topic is cached
 * and dropped as a whole when the epoch moves, because a change of queues is rare and a publish is not.
 */
export class Topology {
  epoch = 0;
  clusterId = '';
  partitionCount = 0;
  #leaders: readonly number[] = [];
  readonly #byId = new Map<number, QueueDefinition>();
  readonly #byName = new Map<string, QueueDefinition>();
  /** Oldest first. */
  readonly #byFilter = new Map<string, QueueDefinition[]>();
  readonly #bindings = new TopicTrie<QueueDefinition>();
  #matches = new Map<string, readonly QueueDefinition[]>();
  #list: readonly QueueDefinition[] | undefined;

  /** Topics whose answer is remembered; a full cache is emptied, not trimmed: the next message refills what is in use. */
  static readonly MATCH_CACHE_TOPICS_MAX = 10_000;

  reset(image: {
    epoch: number;
    clusterId: string;
    partitionCount: number;
    leaders: readonly number[];
    queues: Iterable<QueueDefinition>;
  }): void {
    for (const definition of this.#byId.values()) this.#bindings.remove(definition.topicFilter, definition);
    this.#byId.clear();
    this.#byName.clear();
    this.#byFilter.clear();
    this.clusterId = image.clusterId;
    this.partitionCount = image.partitionCount;
    this.#leaders = image.leaders;
    for (const definition of image.queues) this.#put(definition);
    this.#moved(image.epoch);
  }

  applyDelta(delta: { epoch: number; changed: readonly QueueDefinition[]; removed: readonly number[] }): void {
    assert(delta.epoch > this.epoch, 'deltas arrive in the order of their epochs');
    for (const queueId of delta.removed) this.#remove(queueId);
    for (const definition of delta.changed) this.#put(definition);
    this.#moved(delta.epoch);
  }

  /** Node id of the store that led the partition when the image was made; 0 when nobody is known to. */
  leaderOf(partition: number): number {
    return this.#leaders[partition - 1] ?? 0;
  }

  queue(queueId: number): QueueDefinition | undefined {
    return this.#byId.get(queueId);
  }

  queueByName(name: string): QueueDefinition | undefined {
    return this.#byName.get(name);
  }

  /**
   * The queue that `$q/<filter>` means: the one named `/<filter>`, or else the oldest with that topic filter, so that a
   * stock consumer finds a queue whichever generation of the API created it.
   */
  queueByFilter(filter: string): QueueDefinition | undefined {
    return this.#byName.get(`/${filter}`) ?? this.#byFilter.get(filter)?.[0];
  }

  /** In the order of their creation; the same array while the image has not changed. */
  list(): readonly QueueDefinition[] {
    this.#list ??= [...this.#byId.values()].sort((a, b) => a.queueId - b.queueId);
    return this.#list;
  }

  get queueCount(): number {
    return this.#byId.size;
  }

  /** Queues that keep a message of this topic, in the order of their creation. */
  queuesFor(topic: string): readonly QueueDefinition[] {
    let found = this.#matches.get(topic);
    if (found === undefined) {
      const matches: QueueDefinition[] = [];
      this.#bindings.match(topic, (definition) => matches.push(definition));
      matches.sort((a, b) => a.queueId - b.queueId);
      found = matches;
      if (this.#matches.size >= Topology.MATCH_CACHE_TOPICS_MAX) this.#matches = new Map();
      this.#matches.set(topic, found);
    }
    return found;
  }

  #put(definition: QueueDefinition): void {
    this.#remove(definition.queueId);
    this.#byId.set(definition.queueId, definition);
    this.#byName.set(definition.name, definition);
    this.#bindings.add(definition.topicFilter, definition);
    const same = this.#byFilter.get(definition.topicFilter);
    if (same === undefined) this.#byFilter.set(definition.topicFilter, [definition]);
    else
      this.#byFilter.set(
        definition.topicFilter,
        [...same, definition].sort((a, b) => a.queueId - b.queueId),
      );
  }

  #remove(queueId: number): void {
    const earlier = this.#byId.get(queueId);
    if (earlier === undefined) return;
    this.#byId.delete(queueId);
    if (this.#byName.get(earlier.name) === earlier) this.#byName.delete(earlier.name);
    this.#bindings.remove(earlier.topicFilter, earlier);
    const same = this.#byFilter.get(earlier.topicFilter)?.filter((definition) => definition !== earlier) ?? [];
    if (same.length === 0) this.#byFilter.delete(earlier.topicFilter);
    else this.#byFilter.set(earlier.topicFilter, same);
  }

  #moved(epoch: number): void {
    this.epoch = epoch;
    this.#matches = new Map();
    this.#list = undefined;
  }
}
