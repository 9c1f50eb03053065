import type { Clock } from '@sluice/common/clock';
import type { QueueDraft } from '@sluice/meta/meta-commands';
import type { QueueDefinition } from '@sluice/meta/queue-definition';
import type { QueueSubsystemConfig } from '@sluice/meta/queue-subsystem-config';
import type { Topology } from '@sluice/meta/topology';
import {
  type Outcome,
  type PeekPage,
  type PeekRequest,
  type QueueManagement,
  type QueuePatch,
  type QueueSpec,
  type QueueStatistics,
  type Refusal,
  refuse,
} from '@sluice/rpc/contract/queue-management';
import type { StoreAdminResponse } from '@sluice/rpc/contract/store-admin';
import type { Transport } from '@sluice/rpc/transport';
import {
  type MetadataChange,
  type MetadataExecutor,
  NOT_EVERYWHERE,
  refuseUnlessReady,
  UNKNOWN_OUTCOME,
} from './metadata-change.ts';
import { peekedMessageOf, statisticsOf } from './queue-views.ts';
import { StoreQuestions } from './store-questions.ts';

/** The part of `MetadataClient` that changes queues. */
export interface QueueMetadata extends MetadataExecutor {
  reach(epoch: number): Promise<boolean>;
}

/**
 * Queues as an operator handles them, from any node: definitions through the leading coordinator, figures and messages
 * from the stores that lead their partitions. A change answers when every live node acts on it, so that whoever creates a
 * queue and publishes the next moment is not too early. Reading needs no coordinator, and while a store is down only what
 * its partitions hold is missing.
 */
export class QueueAdministration implements QueueManagement {
  readonly #metadata: QueueMetadata;
  readonly #topology: Topology;
  readonly #stores: StoreQuestions;
  readonly #clock: Clock;
  readonly #lagObjectiveMs: number;

  constructor(options: {
    metadata: QueueMetadata;
    topology: Topology;
    transport: Transport;
    clock: Clock;
    /** How old a message may become before its consumers are too slow, in queues without an objective of their own. */
    lagObjectiveMs: number;
  }) {
    this.#metadata = options.metadata;
    this.#topology = options.topology;
    this.#stores = new StoreQuestions({ topology: options.topology, transport: options.transport });
    this.#clock = options.clock;
    this.#lagObjectiveMs = options.lagObjectiveMs;
  }

  async list(): Promise<Outcome<readonly QueueDefinition[]>> {
    return refuseUnlessReady(this.#topology) ?? { ok: true, value: this.#topology.list() };
  }

  async get(name: string): Promise<Outcome<QueueDefinition>> {
    const definition = this.#topology.queueByName(name);
    return (
      refuseUnlessReady(this.#topology) ?? (definition === undefined ? NOT_FOUND : { ok: true, value: definition })
    );
  }

  async create(spec: QueueSpec): Promise<Outcome<QueueDefinition>> {
    const refusal = refuseUnlessReady(this.#topology);
    if (refusal !== undefined) return refusal;
    if (this.#topology.config.enable === false) {
      return refuse('NOT_ENABLED', 'Not enabled', 'set "enable": "auto" with PUT /api/v5/message_queues/config');
    }
    return this.#defined(await this.#metadata.execute({ kind: 'define-queue', queue: spec }));
  }

  async update(name: string, patch: QueuePatch): Promise<Outcome<QueueDefinition>> {
    const refusal = refuseUnlessReady(this.#topology);
    if (refusal !== undefined) return refusal;
    for (let attempt = 0; attempt < QueueAdministration.UPDATE_ATTEMPTS_MAX; attempt++) {
      const definition = this.#topology.queueByName(name);
      if (definition === undefined) return NOT_FOUND;
      const { limits, ...settings } = patch;
      const queue: QueueDraft = {
        ...definition,
        ...settings,
        limits: { ...definition.limits, ...limits },
        partitionCount: definition.partitions.length,
      };
      const outcome = await this.#metadata.execute({
        kind: 'update-queue',
        queueId: definition.queueId,
        expectedVersion: definition.version,
        queue,
      });
      // Somebody else's change was first: take it in and patch again.
      if (outcome?.reply.result !== 'changed-meanwhile') return this.#defined(outcome);
      await this.#metadata.reach(outcome.reply.epoch);
    }
    return refuse('UNAVAILABLE', `The queue ${name} is being changed by others`, 'try again');
  }

  static readonly UPDATE_ATTEMPTS_MAX = 5;

  async remove(name: string): Promise<Outcome<void>> {
    const refusal = refuseUnlessReady(this.#topology);
    if (refusal !== undefined) return refusal;
    const definition = this.#topology.queueByName(name);
    if (definition === undefined) return NOT_FOUND;
    const outcome = await this.#metadata.execute({ kind: 'remove-queue', queueId: definition.queueId });
    return this.#done(outcome) ?? { ok: true, value: undefined };
  }

  async statistics(names: readonly string[]): Promise<Outcome<ReadonlyMap<string, QueueStatistics>>> {
    const refusal = refuseUnlessReady(this.#topology);
    if (refusal !== undefined) return refusal;
    const definitions: QueueDefinition[] = [];
    for (const name of names) {
      const definition = this.#topology.queueByName(name);
      if (definition !== undefined) definitions.push(definition);
    }
    const figures = await this.#stores.statistics(definitions);
    const nowMs = this.#clock.nowMs();
    const found = new Map<string, QueueStatistics>();
    for (const definition of definitions) {
      const of = figures.get(definition.queueId) ?? [];
      if (of.length !== definition.partitions.length) continue;
      found.set(
        definition.name,
        statisticsOf(of, nowMs, definition.lagObjectiveMs ?? this.#lagObjectiveMs, (nodeId) => this.#nameOf(nodeId)),
      );
    }
    return { ok: true, value: found };
  }

  async purge(name: string): Promise<Outcome<number>> {
    const definition = this.#find(name);
    if ('ok' in definition) return definition;
    const { queueId, partitions } = definition;
    const responses = await Promise.all(
      partitions.map((partition) => this.#stores.ask(partition, { type: 'purge', queueId, partition })),
    );
    let count = 0;
    for (const response of responses) {
      if (response?.type !== 'purged') return refusalOf(response);
      count += response.count;
    }
    return { ok: true, value: count };
  }

  async peek(name: string, request: PeekRequest): Promise<Outcome<PeekPage>> {
    const definition = this.#find(name);
    if ('ok' in definition) return definition;
    const partition = request.partition ?? definition.partitions[0] ?? 0;
    if (!definition.partitions.includes(partition)) {
      return refuse(
        'BAD_REQUEST',
        `The queue is not in partition ${request.partition}`,
        `it is in ${definition.partitions.length === 1 ? 'partition' : 'partitions'} ${definition.partitions.join(', ')}`,
      );
    }
    const response = await this.#stores.ask(partition, {
      type: 'peek',
      queueId: definition.queueId,
      partition,
      fromOffset: request.fromOffset ?? 0,
      limit: request.limit,
      payloadBytesMax: request.payloadBytesMax,
    });
    if (response?.type !== 'peeked') return refusalOf(response);
    return {
      ok: true,
      value: {
        messages: response.records.map((record) => peekedMessageOf(record, partition)),
        nextOffset: response.nextOffset === 0 ? null : response.nextOffset,
      },
    };
  }

  async config(): Promise<Outcome<QueueSubsystemConfig>> {
    return refuseUnlessReady(this.#topology) ?? { ok: true, value: this.#topology.config };
  }

  async patchConfig(patch: Partial<QueueSubsystemConfig>): Promise<Outcome<QueueSubsystemConfig>> {
    const refusal = refuseUnlessReady(this.#topology);
    if (refusal !== undefined) return refusal;
    const config = { ...this.#topology.config, ...patch };
    return this.#done(await this.#metadata.execute({ kind: 'set-config', config })) ?? { ok: true, value: config };
  }

  #find(name: string): QueueDefinition | Refusal {
    return refuseUnlessReady(this.#topology) ?? this.#topology.queueByName(name) ?? NOT_FOUND;
  }

  #nameOf(nodeId: number): string {
    const name = this.#topology.node(nodeId)?.name ?? '';
    return name === '' ? String(nodeId) : name;
  }

  #defined(outcome: MetadataChange | undefined): Outcome<QueueDefinition> {
    const changed = outcome?.reply.changed;
    return this.#done(outcome) ?? (changed === undefined ? UNKNOWN_OUTCOME : { ok: true, value: changed });
  }

  /** Undefined when it was done and every live node acts on it. */
  #done(outcome: MetadataChange | undefined): Refusal | undefined {
    if (outcome === undefined) return UNKNOWN_OUTCOME;
    const { reply, reached } = outcome;
    switch (reply.result) {
      case 'done':
        return reached ? undefined : NOT_EVERYWHERE;
      case 'already-exists':
        return refuse(
          'ALREADY_EXISTS',
          'Message queue already exists',
          'choose another name, or update the queue with PUT',
        );
      case 'too-many-queues':
        return refuse(
          'MAX_QUEUE_COUNT_REACHED',
          'Max queue count reached',
          'delete a queue, or raise max_queue_count with PUT /api/v5/message_queues/config',
        );
      case 'too-many-partitions':
        return refuse(
          'BAD_REQUEST',
          'The cluster has fewer partitions than that',
          `it has ${this.#topology.partitionCount}`,
        );
      case 'not-found':
        return NOT_FOUND;
      case 'queues-exist':
        return refuse(
          'BAD_REQUEST',
          'Cannot disable MQ subsystem via API when there are existing queues',
          'delete them first',
        );
      default:
        return UNKNOWN_OUTCOME;
    }
  }
}

const NOT_FOUND: Refusal = refuse(
  'NOT_FOUND',
  'Message queue not found',
  'sluice queues list shows which there are (GET /api/v5/message_queues/queues)',
);

function refusalOf(response: StoreAdminResponse | undefined): Refusal {
  if (response === undefined) {
    return refuse('NOT_READY', 'No store leads the partition of this queue right now', 'try again in a moment');
  }
  if (response.type !== 'refused') return UNKNOWN_OUTCOME;
  if (response.code === 'queue-unknown') return NOT_FOUND;
  return refuse(response.code === 'not-leader' ? 'NOT_READY' : 'UNAVAILABLE', response.message);
}
