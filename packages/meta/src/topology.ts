import { assert } from '@sluice/common/assert';
import { MatchCache } from '@sluice/mqtt/topic/match-cache';
import { TopicTrie } from '@sluice/mqtt/topic/topic-trie';
import { type AccessChange, type AccessRow, AccessTable } from './access/access-table.ts';
import { type FeatureLevel, FIRST_LEVEL, type LevelRange } from './feature-levels.ts';
import type { NodeInfo } from './node-info.ts';
import type { PartitionInfo } from './partition-info.ts';
import type { QueueDefinition } from './queue-definition.ts';
import { DEFAULT_QUEUE_SUBSYSTEM_CONFIG, type QueueSubsystemConfig } from './queue-subsystem-config.ts';

/**
 * A node's image of the cluster, numbered by epoch. The coordinators' machine is the source; every node holds the
 * newest image it has seen, kept up to date by deltas, and acts on nothing else. A change costs what changed, not what
 * there is: among a hundred thousand queues, one more is a few microseconds on every node.
 *
 * Beside the image stands what is only known for the moment: who leads each partition, which nodes are alive, who draws
 * from where. It has no epoch. A leader is replaced only by one of a later term, because the coordinator's news and the
 * stores' own announcements overtake each other.
 *
 * Publishing asks one question of it for every message: which queues want this topic? The answer per topic is cached. A
 * change of a queue with a plain topic forgets that topic; one with a wildcard forgets all, which is cheaper than
 * looking for those it matches.
 */
export class Topology {
  epoch = 0;
  clusterId = '';
  partitionCount = 0;
  replicationFactor = 1;
  config: QueueSubsystemConfig = DEFAULT_QUEUE_SUBSYSTEM_CONFIG;
  /** Whoever writes a form that came with a later level asks this first (`feature-levels`). */
  featureLevel: FeatureLevel = FIRST_LEVEL;
  /** Users, rules and bans. */
  readonly access = new AccessTable();
  readonly #nodes = new Map<number, NodeInfo>();
  #nodeList: readonly NodeInfo[] | undefined;
  #partitions: (PartitionInfo | undefined)[] = [];
  /** Partition 1 first. */
  #leaders: Leader[] = [];
  #alive: ReadonlySet<number> = new Set();
  /** Copies that do not count yet, or no more, as the coordinator last said. */
  troubles: readonly ReplicaTroubleInfo[] = [];
  /** Nodes that live and cannot do all they should. */
  nodeTroubles: readonly NodeTroubleInfo[] = [];
  #levels: ReadonlyMap<number, LevelRange> = new Map();
  readonly #assignments = new Map<number, QueueAssignmentInfo>();

  readonly #byId = new Map<number, QueueDefinition>();
  readonly #byName = new Map<string, QueueDefinition>();
  /** Oldest first. */
  readonly #byFilter = new Map<string, QueueDefinition[]>();
  readonly #bindings = new TopicTrie<QueueDefinition>();
  readonly #matches = new MatchCache<QueueDefinition>();
  /** In the order of their ids; changed in place, never handed out. */
  readonly #sorted: QueueDefinition[] = [];
  #list: readonly QueueDefinition[] | undefined;
  /** Queues touched by the newest changes, oldest change first. */
  #changes: { epoch: number; queueIds: readonly number[] }[] = [];
  /** Changes after this epoch are in `#changes`. */
  #changesSince = 0;

  /** Changes that are remembered one by one; who is further behind looks at every queue. */
  static readonly CHANGES_MAX = 1_024;

  /** Takes a whole image. What it has in common with the former one is kept, so that an image again costs little. */
  reset(image: TopologyImageInfo): void {
    if (image.clusterId !== this.clusterId) this.#forget();
    this.clusterId = image.clusterId;
    this.partitionCount = image.partitionCount;
    this.replicationFactor = image.replicationFactor;
    this.config = image.config;
    this.featureLevel = image.featureLevel ?? FIRST_LEVEL;
    this.#nodes.clear();
    for (const node of image.nodes) this.#nodes.set(node.nodeId, node);
    this.#nodeList = undefined;
    this.#partitions = [];
    for (const partition of image.partitions) this.#partitions[partition.partition - 1] = partition;
    this.#takeQueues(image.epoch, image.queues);
    const access = image.access ?? [];
    if (access.length > 0 || this.access.version > 0) this.access.reset(access);
    this.epoch = image.epoch;
  }

  applyDelta(delta: TopologyDeltaInfo): void {
    assert(delta.epoch > this.epoch, 'deltas arrive in the order of their epochs');
    const touched: number[] = [];
    for (const queueId of delta.removed) {
      this.#remove(queueId);
      touched.push(queueId);
    }
    for (const definition of delta.changed) {
      this.#put(definition);
      touched.push(definition.queueId);
    }
    for (const nodeId of delta.removedNodes) this.#nodes.delete(nodeId);
    for (const node of delta.nodes) this.#nodes.set(node.nodeId, node);
    if (delta.nodes.length > 0 || delta.removedNodes.length > 0) this.#nodeList = undefined;
    for (const partition of delta.partitions) this.#partitions[partition.partition - 1] = partition;
    if (delta.config !== undefined) this.config = delta.config;
    if (delta.access !== undefined) this.access.apply(delta.access);
    if (delta.featureLevel !== undefined) this.featureLevel = delta.featureLevel;
    this.#remember(delta.epoch, touched);
    this.epoch = delta.epoch;
  }

  /**
   * The coordinator's newest knowledge. A partition it names no leader for keeps the one known, while that is alive. False
   * when nothing of it is news.
   */
  applyLiveness(liveness: {
    leaders: readonly PartitionLeader[];
    alive: readonly number[];
    troubles?: readonly ReplicaTroubleInfo[];
    nodeTroubles?: readonly NodeTroubleInfo[] | undefined;
    levels?: readonly NodeLevelsInfo[] | undefined;
  }): boolean {
    this.troubles = liveness.troubles ?? [];
    this.nodeTroubles = liveness.nodeTroubles ?? [];
    this.#levels = new Map((liveness.levels ?? []).map(({ nodeId, min, max }) => [nodeId, { min, max }]));
    const { alive } = liveness;
    let moved = alive.length !== this.#alive.size || !alive.every((nodeId) => this.#alive.has(nodeId));
    if (moved) this.#alive = new Set(alive);
    const named = new Set(liveness.leaders.map(({ partition }) => partition));
    for (const [i, leader] of this.#leaders.entries()) {
      if (leader.nodeId === 0 || named.has(i + 1) || this.#alive.has(leader.nodeId)) continue;
      leader.nodeId = 0;
      moved = true;
    }
    for (const { partition, nodeId, term } of liveness.leaders) {
      if (this.noteLeader(partition, nodeId, term)) moved = true;
    }
    return moved;
  }

  /** Somebody who knows said who leads: the store itself, or a store that refused. False when it is no news. */
  noteLeader(partition: number, nodeId: number, term: number): boolean {
    if (partition < 1 || partition > Math.max(this.partitionCount, this.#leaders.length)) return false;
    while (this.#leaders.length < partition) this.#leaders.push({ nodeId: 0, term: 0 });
    const known = this.#leaders[partition - 1] as Leader;
    if (term < known.term || (known.nodeId === nodeId && known.term === term)) return false;
    const moved = known.nodeId !== nodeId;
    known.nodeId = nodeId;
    known.term = term;
    return moved;
  }

  applyAssignments(assignments: readonly QueueAssignmentInfo[]): void {
    for (const assignment of assignments) {
      const known = this.#assignments.get(assignment.queueId);
      if (known === undefined || known.generation <= assignment.generation) {
        this.#assignments.set(assignment.queueId, assignment);
      }
    }
  }

  /** Node id of the store that leads the partition as far as this node knows; 0 when nobody is known to. */
  leaderOf(partition: number): number {
    return this.#leaders[partition - 1]?.nodeId ?? 0;
  }

  /** The term of that leader; 0 when none was ever known. */
  leaderTermOf(partition: number): number {
    return this.#leaders[partition - 1]?.term ?? 0;
  }

  node(nodeId: number): NodeInfo | undefined {
    return this.#nodes.get(nodeId);
  }

  /** In the order of their ids, those that are gone included; the same array while none has changed. */
  nodes(): readonly NodeInfo[] {
    this.#nodeList ??= [...this.#nodes.values()].sort((a, b) => a.nodeId - b.nodeId);
    return this.#nodeList;
  }

  coordinators(): readonly NodeInfo[] {
    return this.nodes().filter((node) => node.state !== 'gone' && node.roles.includes('coordinator'));
  }

  partition(partition: number): PartitionInfo | undefined {
    return this.#partitions[partition - 1];
  }

  /** Node ids of the stores that shall hold it; empty while it is not placed. */
  replicasOf(partition: number): readonly number[] {
    return this.#partitions[partition - 1]?.replicas ?? NO_NODES;
  }

  /** As the coordinator last said. Soft: a node that it takes for dead may answer all the same. */
  isAlive(nodeId: number): boolean {
    return this.#alive.has(nodeId);
  }

  /** What a node supports, as the coordinator last said; undefined while that does not hear from it. */
  levelsOf(nodeId: number): LevelRange | undefined {
    return this.#levels.get(nodeId);
  }

  /** Undefined: every consumer draws from every partition of the queue. */
  assignmentOf(queueId: number): QueueAssignmentInfo | undefined {
    return this.#assignments.get(queueId);
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

  /** In the order of their creation; the same array while no queue has changed. */
  list(): readonly QueueDefinition[] {
    this.#list ??= this.#sorted.slice();
    return this.#list;
  }

  /** Of the queue that was made last, of those there are; 0 without any. Asked for each change: no list is made for it. */
  get newestQueueId(): number {
    return this.#sorted.at(-1)?.queueId ?? 0;
  }

  get queueCount(): number {
    return this.#byId.size;
  }

  /**
   * Ids of the queues that were made, changed or removed after `epoch`, some more than once. Undefined when that is not
   * known any more: then any queue may have changed.
   */
  queuesChangedSince(epoch: number): readonly number[] | undefined {
    if (epoch < this.#changesSince || epoch > this.epoch) return undefined;
    const changed: number[] = [];
    for (let i = this.#changes.length - 1; i >= 0; i--) {
      const change = this.#changes[i] as { epoch: number; queueIds: readonly number[] };
      if (change.epoch <= epoch) break;
      for (const queueId of change.queueIds) changed.push(queueId);
    }
    return changed;
  }

  /** Queues that keep a message of this topic, in the order of their creation. */
  queuesFor(topic: string): readonly QueueDefinition[] {
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

  #takeQueues(epoch: number, queues: Iterable<QueueDefinition>): void {
    const touched: number[] = [];
    const kept = new Set<number>();
    for (const definition of queues) {
      kept.add(definition.queueId);
      // A version is given once to one definition: the same version is the same definition.
      if (this.#byId.get(definition.queueId)?.version === definition.version) continue;
      this.#put(definition);
      touched.push(definition.queueId);
    }
    if (kept.size !== this.#byId.size) {
      for (const queueId of [...this.#byId.keys()]) {
        if (kept.has(queueId)) continue;
        this.#remove(queueId);
        touched.push(queueId);
      }
    }
    if (this.epoch > 0 && epoch >= this.epoch && touched.length <= Topology.CHANGES_MAX) this.#remember(epoch, touched);
    else {
      this.#changes = [];
      this.#changesSince = epoch;
    }
  }

  #remember(epoch: number, queueIds: readonly number[]): void {
    if (queueIds.length === 0) return;
    this.#list = undefined;
    this.#changes.push({ epoch, queueIds });
    // Half at a time: shifting an array of a thousand for every change would cost more than the change.
    if (this.#changes.length > Topology.CHANGES_MAX) {
      const dropped = this.#changes.splice(0, Topology.CHANGES_MAX / 2);
      this.#changesSince = dropped.at(-1)?.epoch ?? 0;
    }
  }

  #put(definition: QueueDefinition): void {
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

  #remove(queueId: number): void {
    const earlier = this.#byId.get(queueId);
    if (earlier === undefined) return;
    this.#unbind(earlier);
    this.#byId.delete(queueId);
    this.#assignments.delete(queueId);
    removeById(this.#sorted, queueId);
    this.#list = undefined;
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

  /** Another cluster: nothing of the former one holds. */
  #forget(): void {
    for (const queueId of [...this.#byId.keys()]) this.#remove(queueId);
    this.#matches.clear();
    this.#leaders = [];
    this.#alive = new Set();
    this.#assignments.clear();
    this.epoch = 0;
  }
}

interface Leader {
  nodeId: number;
  term: number;
}

export interface ReplicaTroubleInfo {
  partition: number;
  nodeId: number;
  kind: 'catching-up' | 'impaired' | 'parted';
}

export interface NodeTroubleInfo {
  nodeId: number;
  kind: 'parted' | 'disk-low' | 'disk-full' | 'disk-hangs' | 'disk-failed' | 'files-exhausted';
}

export interface NodeLevelsInfo extends LevelRange {
  nodeId: number;
}

export interface PartitionLeader {
  partition: number;
  nodeId: number;
  term: number;
}

/** Which partitions of a queue the consumers of each gateway draw from. */
export interface QueueAssignmentInfo {
  queueId: number;
  generation: number;
  nodes: readonly { nodeId: number; partitions: readonly number[] }[];
}

export interface TopologyImageInfo {
  epoch: number;
  clusterId: string;
  partitionCount: number;
  replicationFactor: number;
  nodes: Iterable<NodeInfo>;
  partitions: Iterable<PartitionInfo>;
  config: QueueSubsystemConfig;
  queues: Iterable<QueueDefinition>;
  /** Undefined: none. */
  access?: readonly AccessRow[] | undefined;
  /** Undefined: the first. */
  featureLevel?: FeatureLevel | undefined;
}

export interface TopologyDeltaInfo {
  epoch: number;
  changed: readonly QueueDefinition[];
  removed: readonly number[];
  nodes: readonly NodeInfo[];
  removedNodes: readonly number[];
  partitions: readonly PartitionInfo[];
  config: QueueSubsystemConfig | undefined;
  access?: AccessChange | undefined;
  featureLevel?: FeatureLevel | undefined;
}

const NO_NODES: readonly number[] = [];

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
