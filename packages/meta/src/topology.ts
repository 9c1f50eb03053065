import { assert } from '@sluice/common/assert';
import { type AccessChange, type AccessRow, AccessTable } from './access/access-table.ts';
import {
  ClusterLiveness,
  type LivenessInfo,
  type NodeClockInfo,
  type NodeTrouble,
  type ReplicaTrouble,
} from './cluster-liveness.ts';
import { type FeatureLevel, FIRST_LEVEL, type LevelRange } from './feature-levels.ts';
import type { NodeInfo } from './node-info.ts';
import type { PartitionInfo } from './partition-info.ts';
import type { QueueDefinition } from './queue-definition.ts';
import { QueueDirectory } from './queue-directory.ts';
import { DEFAULT_QUEUE_SUBSYSTEM_CONFIG, type QueueSubsystemConfig } from './queue-subsystem-config.ts';

/**
 * A node's image of the cluster, numbered by epoch. The coordinators' machine is the source; every node holds the
 * newest image it has seen, kept up to date by deltas, and acts on nothing else.
 *
 * Beside the image stands what is only known for the moment and has no epoch (`cluster-liveness`), and who draws from where.
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
  readonly #liveness = new ClusterLiveness();
  readonly #queues = new QueueDirectory();
  readonly #assignments = new Map<number, QueueAssignmentInfo>();
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

  applyDelta(delta: TopologyDelta): void {
    assert(delta.epoch > this.epoch, 'deltas arrive in the order of their epochs');
    const touched: number[] = [];
    for (const queueId of delta.removed) {
      this.#queues.remove(queueId);
      this.#assignments.delete(queueId);
      touched.push(queueId);
    }
    for (const definition of delta.changed) {
      this.#queues.put(definition);
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

  /** As `ClusterLiveness.apply`. */
  applyLiveness(liveness: LivenessInfo): boolean {
    return this.#liveness.apply(liveness, this.partitionCount);
  }

  /** Somebody who knows said who leads: the store itself, or a store that refused. False when it is no news. */
  noteLeader(partition: number, nodeId: number, term: number): boolean {
    return this.#liveness.noteLeader({ partition, nodeId, term }, this.partitionCount);
  }

  get troubles(): readonly ReplicaTrouble[] {
    return this.#liveness.troubles;
  }

  get nodeTroubles(): readonly NodeTrouble[] {
    return this.#liveness.nodeTroubles;
  }

  get clocks(): readonly NodeClockInfo[] {
    return this.#liveness.clocks;
  }

  /** Who sends them has sent their queues before: of one that is not there the assignment is late, and kept nowhere. */
  applyAssignments(assignments: readonly QueueAssignmentInfo[]): void {
    for (const assignment of assignments) {
      if (this.#queues.get(assignment.queueId) === undefined) continue;
      const known = this.#assignments.get(assignment.queueId);
      if (known === undefined || known.generation <= assignment.generation) {
        this.#assignments.set(assignment.queueId, assignment);
      }
    }
  }

  /** Node id of the store that leads the partition as far as this node knows; 0 when nobody is known to. */
  leaderOf(partition: number): number {
    return this.#liveness.leaderOf(partition);
  }

  /** The term of that leader; 0 when none was ever known. */
  leaderTermOf(partition: number): number {
    return this.#liveness.leaderTermOf(partition);
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
    return this.#liveness.isAlive(nodeId);
  }

  /** What a node supports, as the coordinator last said; undefined while that does not hear from it. */
  levelsOf(nodeId: number): LevelRange | undefined {
    return this.#liveness.levelsOf(nodeId);
  }

  /** Undefined: every consumer draws from every partition of the queue. */
  assignmentOf(queueId: number): QueueAssignmentInfo | undefined {
    return this.#assignments.get(queueId);
  }

  queue(queueId: number): QueueDefinition | undefined {
    return this.#queues.get(queueId);
  }

  queueByName(name: string): QueueDefinition | undefined {
    return this.#queues.named(name);
  }

  /**
   * The queue that `$q/<filter>` means: the one named `/<filter>`, or else the oldest with that topic filter, so that a
   * stock consumer finds a queue whichever generation of the API created it.
   */
  queueByFilter(filter: string): QueueDefinition | undefined {
    return this.#queues.named(`/${filter}`) ?? this.#queues.oldestOf(filter);
  }

  /** In the order of their creation; the same array while no queue has changed. */
  list(): readonly QueueDefinition[] {
    return this.#queues.list();
  }

  /** Of the queue that was made last, of those there are; 0 without any. Asked for each change: no list is made for it. */
  get newestQueueId(): number {
    return this.#queues.newestId;
  }

  get queueCount(): number {
    return this.#queues.size;
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
    return this.#queues.wanting(topic);
  }

  #takeQueues(epoch: number, queues: Iterable<QueueDefinition>): void {
    const touched = this.#queues.reset(queues);
    for (const queueId of touched) if (this.#queues.get(queueId) === undefined) this.#assignments.delete(queueId);
    if (this.epoch > 0 && epoch >= this.epoch && touched.length <= Topology.CHANGES_MAX) this.#remember(epoch, touched);
    else {
      this.#changes = [];
      this.#changesSince = epoch;
    }
  }

  #remember(epoch: number, queueIds: readonly number[]): void {
    if (queueIds.length === 0) return;
    this.#changes.push({ epoch, queueIds });
    // Half at a time: shifting an array of a thousand for every change would cost more than the change.
    if (this.#changes.length > Topology.CHANGES_MAX) {
      const dropped = this.#changes.splice(0, Topology.CHANGES_MAX / 2);
      this.#changesSince = dropped.at(-1)?.epoch ?? 0;
    }
  }

  /** Another cluster: nothing of the former one holds. */
  #forget(): void {
    this.#queues.forget();
    this.#liveness.forget();
    this.#assignments.clear();
    this.epoch = 0;
  }
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

/** What became of one epoch's image in the next. */
export interface TopologyDelta {
  epoch: number;
  changed: readonly QueueDefinition[];
  removed: readonly number[];
  nodes: readonly NodeInfo[];
  removedNodes: readonly number[];
  partitions: readonly PartitionInfo[];
  /** Undefined: as before, like those that follow. */
  config: QueueSubsystemConfig | undefined;
  access?: AccessChange | undefined;
  featureLevel?: FeatureLevel | undefined;
}

const NO_NODES: readonly number[] = [];
