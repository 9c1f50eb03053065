import { type AccessChange, type AccessKey, type AccessRow, AccessTable } from './access/access-table.ts';
import { compactDefinition } from './compact-definition.ts';
import {
  type FeatureLevel,
  FIRST_LEVEL,
  includes,
  type LevelRange,
  levelUnsupported,
  SUPPORTED_LEVELS,
  UNTOLD_LEVELS,
} from './feature-levels.ts';
import { decodeMetaCommand, type MetaCommand, type QueueDraft } from './meta-commands.ts';
import type { MetaChange, MetaReply, MetaResult } from './meta-reply.ts';
import {
  decodeMetaRow,
  encodeMetaRow,
  HEAD_KEY,
  type HeadRow,
  keyOfAccess,
  keyOfNode,
  keyOfPartition,
  keyOfQueue,
} from './meta-rows.ts';
import { LONE_FOUNDER, type NodeInfo } from './node-info.ts';
import { NodeTable } from './node-table.ts';
import type { PartitionInfo } from './partition-info.ts';
import type { QueueDefinition } from './queue-definition.ts';
import { placeQueue } from './queue-placement.ts';
import { DEFAULT_QUEUE_SUBSYSTEM_CONFIG, type QueueSubsystemConfig } from './queue-subsystem-config.ts';

/**
 * The cluster's metadata as a replicated machine: every change is an entry, every replica reaches the same image. The
 * whole image is resident (a queue is a few hundred bytes); rows only save replaying the log at start.
 *
 * Uniqueness, limits and identities are decided here, where entries have one order, and not where a request arrives:
 * two nodes that create the same queue at once must not both succeed, nor two that register get one id.
 */
export class MetaMachine {
  epoch = 0;
  clusterId = '';
  partitionCount = 0;
  replicationFactor = 1;
  config: QueueSubsystemConfig = DEFAULT_QUEUE_SUBSYSTEM_CONFIG;
  featureLevel: FeatureLevel = FIRST_LEVEL;
  /** When nodes, places or the factor changed last: what a placement was computed from. */
  layoutEpoch = 0;
  /** Users, rules and bans. */
  readonly access = new AccessTable();
  #nextQueueId = 1;
  #nowMs = 0;
  readonly #queues = new Map<number, QueueDefinition>();
  readonly #idByName = new Map<string, number>();
  readonly #nodes = new NodeTable();
  readonly #partitions = new Map<number, PartitionInfo>();
  #headDirty = false;
  readonly #dirtyQueues = new Set<number>();
  readonly #dirtyNodes = new Set<number>();
  readonly #dirtyPartitions = new Set<number>();
  #dirtyAccess: AccessKey[] = [];
  readonly #supported: LevelRange;

  constructor(supported: LevelRange = SUPPORTED_LEVELS) {
    this.#supported = supported;
  }

  /** @throws SluiceError `FEATURE_LEVEL_UNSUPPORTED` when the cluster is at a level that is not among them */
  static restore(rows: Iterable<{ key: Uint8Array; value: Uint8Array }>, supported?: LevelRange): MetaMachine {
    const machine = new MetaMachine(supported);
    let head: HeadRow | undefined;
    for (const { key, value } of rows) {
      const decoded = decodeMetaRow(key, value);
      if (decoded.table === 'head') head = decoded.row;
      else if (decoded.table === 'queue') machine.#putQueue(compactDefinition(decoded.row));
      else if (decoded.table === 'node') machine.#putNode(decoded.row);
      else if (decoded.table === 'access') machine.access.put(decoded.row);
      else machine.#putPartition(decoded.row);
    }
    machine.#dirtyQueues.clear();
    machine.#dirtyNodes.clear();
    machine.#dirtyPartitions.clear();
    if (head !== undefined) machine.#restoreHead(head);
    return machine;
  }

  queues(): Iterable<QueueDefinition> {
    return this.#queues.values();
  }

  get queueCount(): number {
    return this.#queues.size;
  }

  queue(queueId: number): QueueDefinition | undefined {
    return this.#queues.get(queueId);
  }

  queueByName(name: string): QueueDefinition | undefined {
    const queueId = this.#idByName.get(name);
    return queueId === undefined ? undefined : this.#queues.get(queueId);
  }

  /** Those that are gone included. */
  nodes(): readonly NodeInfo[] {
    return [...this.#nodes.all()];
  }

  node(nodeId: number): NodeInfo | undefined {
    return this.#nodes.get(nodeId);
  }

  /** Partition 1 first. */
  partitions(): readonly PartitionInfo[] {
    const all: PartitionInfo[] = [];
    for (let n = 1; n <= this.partitionCount; n++) all.push(this.#partition(n));
    return all;
  }

  /** Nothing is fetched: the image is resident. */
  neededRows(): void {}
  furtherRows(): void {}

  apply(_index: number, data: Uint8Array): MetaReply {
    const { command, stampMs } = decodeMetaCommand(data);
    if (stampMs > this.#nowMs) {
      this.#nowMs = stampMs;
      // Also of a command that changes nothing else: a replica that starts again must know the time its peers know.
      this.#headDirty = true;
    }
    switch (command.kind) {
      case 'form-cluster':
        return this.#formCluster(command);
      case 'define-queue':
        return this.#defineQueue(command.queue);
      case 'update-queue':
        return this.#updateQueue(command.queueId, command.expectedVersion, command.queue);
      case 'remove-queue':
        return this.#removeQueue(command.queueId);
      case 'set-config':
        return this.#setConfig(command.config);
      case 'register-node':
        return this.#registerNode(command);
      case 'set-node-state':
        return this.#setNodeState(command.nodeId, command.state);
      case 'place-partitions':
        return this.#placePartitions(command.placements, command.expectedEpoch);
      case 'partition-formed':
        return this.#partitionFormed(command.partition);
      case 'set-replication-factor':
        return this.#setReplicationFactor(command.replicationFactor);
      case 'put-access':
        return this.#putAccess(command);
      case 'remove-access':
        return this.#removeAccess(command);
      case 'raise-feature-level':
        return this.#raiseFeatureLevel(command);
      case 'hold-feature-level':
        return this.#holdFeatureLevel(command.isHeld);
    }
  }

  /** Writes what changed since the last flush. */
  flush(rows: { put(key: Uint8Array, value: Uint8Array): void; delete(key: Uint8Array): void }): void {
    if (this.#headDirty) rows.put(HEAD_KEY, encodeMetaRow(this.#headRow()));
    for (const queueId of this.#dirtyQueues) {
      const definition = this.#queues.get(queueId);
      if (definition === undefined) rows.delete(keyOfQueue(queueId));
      else rows.put(keyOfQueue(queueId), encodeMetaRow(definition));
    }
    for (const nodeId of this.#dirtyNodes) {
      const node = this.#nodes.get(nodeId);
      if (node === undefined) rows.delete(keyOfNode(nodeId));
      else rows.put(keyOfNode(nodeId), encodeMetaRow(node));
    }
    for (const partition of this.#dirtyPartitions) {
      rows.put(keyOfPartition(partition), encodeMetaRow(this.#partition(partition)));
    }
    for (const key of this.#dirtyAccess) {
      const row = this.access.get(key.table, key.key);
      if (row === undefined) rows.delete(keyOfAccess(key));
      else rows.put(keyOfAccess(key), encodeMetaRow(row));
    }
    this.#dirtyAccess = [];
    this.#headDirty = false;
    this.#dirtyQueues.clear();
    this.#dirtyNodes.clear();
    this.#dirtyPartitions.clear();
  }

  #formCluster(command: Extract<MetaCommand, { kind: 'form-cluster' }>): MetaReply {
    if (this.clusterId !== '') return this.#unchanged('already-formed');
    this.clusterId = command.clusterId;
    this.partitionCount = command.partitionCount;
    this.replicationFactor = command.replicationFactor;
    this.config = { ...this.config, queueCountMax: command.queueCountMax };
    for (const founder of command.founders) this.#putNode(founder);
    if (isLone(command.founders)) this.#placeOnLoneFounder();
    return this.#layoutChanged('formed', {});
  }

  #defineQueue(draft: QueueDraft): MetaReply {
    if (this.#idByName.has(draft.name)) return this.#unchanged('already-exists');
    if (this.#queues.size >= this.config.queueCountMax) return this.#unchanged('too-many-queues');
    if (draft.partitionCount > this.partitionCount) return this.#unchanged('too-many-partitions');
    const queueId = this.#nextQueueId++;
    const { partitionCount, ...settings } = draft;
    const definition = compactDefinition({
      ...settings,
      queueId,
      partitions: placeQueue(queueId, partitionCount, this.partitionCount),
      version: this.epoch + 1,
      createdAtMs: this.#nowMs,
    });
    this.#putQueue(definition);
    return this.#changed('done', { changed: definition });
  }

  #updateQueue(queueId: number, expectedVersion: number, draft: QueueDraft): MetaReply {
    const earlier = this.#queues.get(queueId);
    if (earlier === undefined) return this.#unchanged('not-found');
    if (earlier.version !== expectedVersion) return this.#unchanged('changed-meanwhile');
    const { partitionCount: _fixed, ...settings } = draft;
    const definition = compactDefinition({
      ...earlier,
      ...settings,
      name: earlier.name,
      topicFilter: earlier.topicFilter,
      isLastValue: earlier.isLastValue,
      version: this.epoch + 1,
    });
    this.#putQueue(definition);
    return this.#changed('done', { changed: definition });
  }

  #removeQueue(queueId: number): MetaReply {
    const earlier = this.#queues.get(queueId);
    if (earlier === undefined) return this.#unchanged('not-found');
    this.#queues.delete(queueId);
    this.#idByName.delete(earlier.name);
    this.#dirtyQueues.add(queueId);
    return this.#changed('done', { removed: queueId });
  }

  #setConfig(config: QueueSubsystemConfig): MetaReply {
    if (config.enable === false && this.#queues.size > 0) return this.#unchanged('queues-exist');
    this.config = config;
    return this.#changed('done', { config });
  }

  #registerNode(command: Extract<MetaCommand, { kind: 'register-node' }>): MetaReply {
    if (this.clusterId === '') return this.#unchanged('not-formed');
    const { level } = this.featureLevel;
    // At the first level there may be replicas of builds that let everybody in.
    if (level > FIRST_LEVEL.level && !includes(command.node.levels ?? UNTOLD_LEVELS, level)) {
      return this.#unchanged('level-unsupported');
    }
    const { result, nodeId, changed } = this.#nodes.register(command.node, command.nodeId);
    if (result !== 'done') return { ...this.#unchanged(result), nodeId };
    if (changed.length === 0) return { ...this.#unchanged('unchanged'), nodeId };
    for (const node of changed) this.#putNode(node);
    return { ...this.#layoutChanged('done', { nodes: changed, removedNodes: this.#forgetNodes() }), nodeId };
  }

  #setNodeState(nodeId: number, state: NodeInfo['state']): MetaReply {
    const node = this.#nodes.get(nodeId);
    if (node === undefined) return this.#unchanged('not-found');
    if (node.state === state) return this.#unchanged('unchanged');
    // Its replicas were given to others; it comes back as a new node.
    if (node.state === 'gone') return this.#unchanged('node-gone');
    const changed: NodeInfo = { ...node, state };
    this.#putNode(changed);
    return this.#layoutChanged('done', { nodes: [changed], removedNodes: this.#forgetNodes() });
  }

  #placePartitions(placements: readonly PartitionInfo[], expectedEpoch: number): MetaReply {
    if (expectedEpoch !== 0 && this.layoutEpoch > expectedEpoch) return this.#unchanged('changed-meanwhile');
    if (!placements.every((placement) => this.#isPlaceable(placement))) return this.#unchanged('bad-placement');
    const partitions: PartitionInfo[] = [];
    for (const { partition, replicas, preferredLeader } of placements) {
      const earlier = this.#partition(partition);
      const bootstrap = earlier.bootstrap || earlier.replicas.length === 0;
      partitions.push({ partition, replicas: [...replicas], preferredLeader, bootstrap });
    }
    for (const placed of partitions) this.#putPartition(placed);
    return this.#layoutChanged('done', { partitions });
  }

  /**
   * While its replicas may still begin a log of their own, they are who they are: others would begin another log beside
   * theirs.
   */
  #isPlaceable({ partition, replicas, preferredLeader }: PartitionInfo): boolean {
    if (partition < 1 || partition > this.partitionCount || replicas.length === 0) return false;
    if (new Set(replicas).size !== replicas.length) return false;
    if (preferredLeader !== 0 && !replicas.includes(preferredLeader)) return false;
    const earlier = this.#partition(partition);
    if (earlier.bootstrap && !isSameSet(earlier.replicas, replicas)) return false;
    return replicas.every((nodeId) => {
      const state = this.#nodes.get(nodeId)?.state;
      return state !== undefined && (state !== 'gone' || earlier.replicas.includes(nodeId));
    });
  }

  #partitionFormed(partition: number): MetaReply {
    const earlier = this.#partitions.get(partition);
    if (earlier === undefined) return this.#unchanged('not-found');
    if (!earlier.bootstrap) return this.#unchanged('unchanged');
    const formed: PartitionInfo = { ...earlier, bootstrap: false };
    this.#putPartition(formed);
    return this.#changed('done', { partitions: [formed] });
  }

  #setReplicationFactor(replicationFactor: number): MetaReply {
    if (!Number.isSafeInteger(replicationFactor) || replicationFactor < 1) return this.#unchanged('bad-placement');
    if (replicationFactor === this.replicationFactor) return this.#unchanged('unchanged');
    this.replicationFactor = replicationFactor;
    return this.#layoutChanged('done', { replicationFactor });
  }

  #putAccess({ row, expect, rowsMax }: Extract<MetaCommand, { kind: 'put-access' }>): MetaReply {
    const isThere = this.access.get(row.table, row.key) !== undefined;
    if (isThere && expect === 'new') return this.#unchanged('already-exists');
    if (!isThere && expect === 'existing') return this.#unchanged('not-found');
    // Bans that are over make room: whatever keeps making them would fill the table otherwise.
    const removed = row.table === 'ban' ? this.#endedBans(row) : [];
    if (!isThere && this.access.count(row.table) - removed.length >= rowsMax) return this.#unchanged('too-many-rows');
    return this.#accessChanged({ put: [row], removed });
  }

  #endedBans(except: AccessRow): AccessKey[] {
    const removed: AccessKey[] = [];
    for (const { table, key, value } of this.access.of('ban')) {
      if (value.untilMs !== 0 && value.untilMs <= this.#nowMs && key !== except.key) removed.push({ table, key });
    }
    return removed;
  }

  #removeAccess({ table, key }: Extract<MetaCommand, { kind: 'remove-access' }>): MetaReply {
    if (this.access.get(table, key) === undefined) return this.#unchanged('not-found');
    return this.#accessChanged({ put: [], removed: [{ table, key }] });
  }

  #accessChanged(access: AccessChange): MetaReply {
    this.access.apply(access);
    for (const { table, key } of [...access.put, ...access.removed]) this.#dirtyAccess.push({ table, key });
    return this.#changed('done', { access });
  }

  #raiseFeatureLevel({ level, expectedEpoch }: Extract<MetaCommand, { kind: 'raise-feature-level' }>): MetaReply {
    if (this.clusterId === '') return this.#unchanged('not-formed');
    if (level <= this.featureLevel.level) return this.#unchanged('unchanged');
    if (this.featureLevel.isHeld) return this.#unchanged('level-held');
    if (this.layoutEpoch > expectedEpoch) return this.#unchanged('changed-meanwhile');
    this.#mustSupport(level);
    return this.#featureLevelChanged({ level, isHeld: false });
  }

  #holdFeatureLevel(isHeld: boolean): MetaReply {
    if (this.featureLevel.isHeld === isHeld) return this.#unchanged('unchanged');
    return this.#featureLevelChanged({ ...this.featureLevel, isHeld });
  }

  /** What comes after it may be of a form that is not known here. */
  #mustSupport(level: number): void {
    if (!includes(this.#supported, level)) throw levelUnsupported(level, this.#supported);
  }

  #featureLevelChanged(featureLevel: FeatureLevel): MetaReply {
    this.featureLevel = featureLevel;
    return this.#changed('done', { featureLevel });
  }

  #forgetNodes(): readonly number[] {
    const named = new Set<number>();
    for (const { replicas } of this.#partitions.values()) for (const nodeId of replicas) named.add(nodeId);
    const forgotten = this.#nodes.forgettable((nodeId) => named.has(nodeId));
    for (const { nodeId } of forgotten) {
      this.#nodes.delete(nodeId);
      this.#dirtyNodes.add(nodeId);
    }
    return forgotten.map(({ nodeId }) => nodeId);
  }

  #unchanged(result: Exclude<MetaResult, 'done' | 'formed'>): MetaReply {
    return { result, epoch: this.epoch };
  }

  #changed(result: 'done' | 'formed', what: MetaChange): MetaReply {
    this.epoch++;
    this.#headDirty = true;
    return { result, epoch: this.epoch, ...what };
  }

  #layoutChanged(result: 'done' | 'formed', what: MetaChange): MetaReply {
    this.layoutEpoch = this.epoch + 1;
    return this.#changed(result, what);
  }

  #putQueue(definition: QueueDefinition): void {
    this.#queues.set(definition.queueId, definition);
    this.#idByName.set(definition.name, definition.queueId);
    this.#dirtyQueues.add(definition.queueId);
  }

  #putNode(node: NodeInfo): void {
    this.#nodes.put(node);
    this.#dirtyNodes.add(node.nodeId);
  }

  #putPartition(partition: PartitionInfo): void {
    this.#partitions.set(partition.partition, partition);
    this.#dirtyPartitions.add(partition.partition);
  }

  #partition(partition: number): PartitionInfo {
    return this.#partitions.get(partition) ?? { partition, replicas: [], preferredLeader: 0, bootstrap: false };
  }

  /** As every cluster was before clusters had places: its partitions are where its only node is. */
  #placeOnLoneFounder(): void {
    const { nodeId } = LONE_FOUNDER;
    for (let partition = 1; partition <= this.partitionCount; partition++) {
      this.#putPartition({ partition, replicas: [nodeId], preferredLeader: nodeId, bootstrap: true });
    }
  }

  #headRow(): HeadRow {
    const { featureLevel } = this;
    return {
      // At the first level as builds read it that know of none.
      ...(featureLevel === FIRST_LEVEL ? { format: 2 } : { format: 3, featureLevel }),
      epoch: this.epoch,
      clusterId: this.clusterId,
      partitionCount: this.partitionCount,
      nextQueueId: this.#nextQueueId,
      nowMs: this.#nowMs,
      config: this.config,
      replicationFactor: this.replicationFactor,
      nextNodeId: this.#nodes.nextNodeId,
      layoutEpoch: this.layoutEpoch,
    };
  }

  #restoreHead(row: HeadRow): void {
    this.epoch = row.epoch;
    this.clusterId = row.clusterId;
    this.partitionCount = row.partitionCount;
    this.#nextQueueId = row.nextQueueId;
    this.#nowMs = row.nowMs;
    this.config = row.config;
    this.replicationFactor = row.replicationFactor ?? 1;
    this.#nodes.nextNodeId = Math.max(this.#nodes.nextNodeId, row.nextNodeId ?? 1);
    this.layoutEpoch = row.layoutEpoch ?? row.epoch;
    this.featureLevel = row.featureLevel ?? FIRST_LEVEL;
    this.#mustSupport(this.featureLevel.level);
    if (row.format > 1 || row.clusterId === '') return;
    this.#putNode(LONE_FOUNDER);
    this.#placeOnLoneFounder();
    this.#headDirty = true;
  }
}

function isLone(founders: readonly NodeInfo[]): boolean {
  return founders.length === 1 && founders[0]?.incarnation === LONE_FOUNDER.incarnation;
}

function isSameSet(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((nodeId) => b.includes(nodeId));
}
