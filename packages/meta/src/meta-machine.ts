import { ByteWriter } from '@sluice/common/bytes/byte-writer';
import { decodeMetaCommand, type MetaCommand, type QueueDraft } from './meta-commands.ts';
import type { QueueDefinition } from './queue-definition.ts';
import { placeQueue } from './queue-placement.ts';
import { DEFAULT_QUEUE_SUBSYSTEM_CONFIG, type QueueSubsystemConfig } from './queue-subsystem-config.ts';

/**
 * The cluster's metadata as a replicated machine: every change is an entry, every replica reaches the same image. The
 * whole image is resident (a queue is a few hundred bytes); rows only save replaying the log at start.
 *
 * Uniqueness and limits are decided here, where entries have one order, and not where a request arrives: two API nodes
 * that create the same queue at once must not both succeed.
 */
export class MetaMachine {
  epoch = 0;
  clusterId = '';
  partitionCount = 0;
  config: QueueSubsystemConfig = DEFAULT_QUEUE_SUBSYSTEM_CONFIG;
  #nextQueueId = 1;
  #nowMs = 0;
  readonly #queues = new Map<number, QueueDefinition>();
  readonly #idByName = new Map<string, number>();
  #headDirty = false;
  readonly #dirtyQueues = new Set<number>();

  static restore(rows: Iterable<{ key: Uint8Array; value: Uint8Array }>): MetaMachine {
    const machine = new MetaMachine();
    for (const { key, value } of rows) {
      const body = JSON.parse(Buffer.from(value).toString('utf8')) as unknown;
      if (key[0] === HEAD_TABLE) machine.#restoreHead(body as HeadRow);
      else if (key[0] === QUEUE_TABLE) machine.#put(body as QueueDefinition);
    }
    machine.#dirtyQueues.clear();
    return machine;
  }

  queues(): Iterable<QueueDefinition> {
    return this.#queues.values();
  }

  queueByName(name: string): QueueDefinition | undefined {
    const queueId = this.#idByName.get(name);
    return queueId === undefined ? undefined : this.#queues.get(queueId);
  }

  /** Nothing is fetched: the image is resident. */
  neededRows(): Uint8Array[] {
    return [];
  }
  furtherRows(): Uint8Array[] {
    return [];
  }

  apply(_index: number, data: Uint8Array): MetaReply {
    const { command, stampMs } = decodeMetaCommand(data);
    this.#nowMs = Math.max(this.#nowMs, stampMs);
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
    }
  }

  /** Writes what changed since the last flush. */
  flush(rows: { put(key: Uint8Array, value: Uint8Array): void; delete(key: Uint8Array): void }): void {
    if (this.#headDirty) rows.put(Uint8Array.of(HEAD_TABLE), encodeJson(this.#headRow()));
    for (const queueId of this.#dirtyQueues) {
      const definition = this.#queues.get(queueId);
      const key = new ByteWriter().u8(QUEUE_TABLE).u53(queueId).finish();
      if (definition === undefined) rows.delete(key);
      else rows.put(key, encodeJson(definition));
    }
    this.#headDirty = false;
    this.#dirtyQueues.clear();
  }

  #formCluster(command: Extract<MetaCommand, { kind: 'form-cluster' }>): MetaReply {
    if (this.clusterId !== '') return { result: 'already-formed', epoch: this.epoch };
    this.clusterId = command.clusterId;
    this.partitionCount = command.partitionCount;
    this.config = { ...this.config, queueCountMax: command.queueCountMax };
    return this.#changed('formed', undefined, undefined);
  }

  #defineQueue(draft: QueueDraft): MetaReply {
    if (this.#idByName.has(draft.name)) return { result: 'already-exists', epoch: this.epoch };
    if (this.#queues.size >= this.config.queueCountMax) return { result: 'too-many-queues', epoch: this.epoch };
    if (draft.partitionCount > this.partitionCount) return { result: 'too-many-partitions', epoch: this.epoch };
    const queueId = this.#nextQueueId++;
    const { partitionCount, ...settings } = draft;
    const definition: QueueDefinition = {
      ...settings,
      queueId,
      partitions: placeQueue(queueId, partitionCount, this.partitionCount),
      version: this.epoch + 1,
      createdAtMs: this.#nowMs,
    };
    this.#put(definition);
    return this.#changed('done', definition, undefined);
  }

  #updateQueue(queueId: number, expectedVersion: number, draft: QueueDraft): MetaReply {
    const earlier = this.#queues.get(queueId);
    if (earlier === undefined) return { result: 'not-found', epoch: this.epoch };
    if (earlier.version !== expectedVersion) return { result: 'changed-meanwhile', epoch: this.epoch };
    const { partitionCount: _fixed, ...settings } = draft;
    const definition: QueueDefinition = {
      ...earlier,
      ...settings,
      name: earlier.name,
      topicFilter: earlier.topicFilter,
      isLastValue: earlier.isLastValue,
      version: this.epoch + 1,
    };
    this.#put(definition);
    return this.#changed('done', definition, undefined);
  }

  #removeQueue(queueId: number): MetaReply {
    const earlier = this.#queues.get(queueId);
    if (earlier === undefined) return { result: 'not-found', epoch: this.epoch };
    this.#queues.delete(queueId);
    this.#idByName.delete(earlier.name);
    this.#dirtyQueues.add(queueId);
    return this.#changed('done', undefined, queueId);
  }

  #setConfig(config: QueueSubsystemConfig): MetaReply {
    if (config.enable === false && this.#queues.size > 0) return { result: 'queues-exist', epoch: this.epoch };
    this.config = config;
    return this.#changed('done', undefined, undefined);
  }

  #changed(result: 'done' | 'formed', changed: QueueDefinition | undefined, removed: number | undefined): MetaReply {
    this.epoch++;
    this.#headDirty = true;
    return { result, epoch: this.epoch, changed, removed };
  }

  #put(definition: QueueDefinition): void {
    this.#queues.set(definition.queueId, definition);
    this.#idByName.set(definition.name, definition.queueId);
    this.#dirtyQueues.add(definition.queueId);
  }

  #headRow(): HeadRow {
    return {
      format: FORMAT,
      epoch: this.epoch,
      clusterId: this.clusterId,
      partitionCount: this.partitionCount,
      nextQueueId: this.#nextQueueId,
      nowMs: this.#nowMs,
      config: this.config,
    };
  }

  #restoreHead(row: HeadRow): void {
    this.epoch = row.epoch;
    this.clusterId = row.clusterId;
    this.partitionCount = row.partitionCount;
    this.#nextQueueId = row.nextQueueId;
    this.#nowMs = row.nowMs;
    this.config = row.config;
  }
}

/** `done` and `formed` moved the epoch; every other result changed nothing. */
export interface MetaReply {
  result:
    | 'done'
    | 'formed'
    | 'already-formed'
    | 'already-exists'
    | 'too-many-queues'
    | 'too-many-partitions'
    | 'not-found'
    | 'changed-meanwhile'
    | 'queues-exist';
  epoch: number;
  changed?: QueueDefinition | undefined;
  removed?: number | undefined;
}

interface HeadRow {
  format: typeof FORMAT;
  epoch: number;
  clusterId: string;
  partitionCount: number;
  nextQueueId: number;
  nowMs: number;
  config: QueueSubsystemConfig;
}

const FORMAT = 1;
const HEAD_TABLE = 0x4d; // M
const QUEUE_TABLE = 0x51; // Q

function encodeJson(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value), 'utf8');
}
