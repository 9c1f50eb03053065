import type { Clock } from '@sluice/common/clock';
import type { QueueDraft } from '@sluice/meta/meta-commands';
import type { MetaReply } from '@sluice/meta/meta-machine';
import type { QueueDefinition } from '@sluice/meta/queue-definition';
import {
  DEFAULT_KEY_EXPRESSION,
  QUEUE_SETTING_DEFAULTS,
  type QueueSubsystemConfig,
} from '@sluice/meta/queue-subsystem-config';
import type { Topology } from '@sluice/meta/topology';
import {
  type Outcome,
  type PeekedMessage,
  type PeekPage,
  type PeekRequest,
  type QueueManagement,
  type QueuePatch,
  type QueueSpec,
  type QueueStatistics,
  type Refusal,
  refuse,
} from '@sluice/rpc/contract/queue-management';
import type { QueueRegistryRequest, QueueRegistryResponse } from '@sluice/rpc/contract/queue-registry';
import type {
  PeekedRecord,
  StoreAdminRequest,
  StoreAdminResponse,
  StoreQueueStatistics,
} from '@sluice/rpc/contract/store-admin';
import type { Transport } from '@sluice/rpc/transport';
import type { Coordinator } from './coordinator.ts';

/**
 * Queues as an operator handles them: definitions through the metadata group, figures and messages from the stores that
 * lead their partitions. A change answers when every node acts on it, so that whoever creates a queue and publishes the
 * next moment is not too early.
 */
export class QueueAdministration implements QueueManagement {
  readonly #coordinator: Coordinator;
  readonly #topology: Topology;
  readonly #transport: Transport;
  readonly #clock: Clock;

  constructor(options: { coordinator: Coordinator; topology: Topology; transport: Transport; clock: Clock }) {
    this.#coordinator = options.coordinator;
    this.#topology = options.topology;
    this.#transport = options.transport;
    this.#clock = options.clock;
  }

  async list(): Promise<Outcome<readonly QueueDefinition[]>> {
    return this.#refuseUnlessReady() ?? { ok: true, value: this.#topology.list() };
  }

  async get(name: string): Promise<Outcome<QueueDefinition>> {
    const definition = this.#topology.queueByName(name);
    return this.#refuseUnlessReady() ?? (definition === undefined ? NOT_FOUND : { ok: true, value: definition });
  }

  async create(spec: QueueSpec): Promise<Outcome<QueueDefinition>> {
    const refusal = this.#refuseUnlessReady();
    if (refusal !== undefined) return refusal;
    if (this.#coordinator.machine.config.enable === false) {
      return refuse('NOT_ENABLED', 'Not enabled', 'set "enable": "auto" with PUT /api/v5/message_queues/config');
    }
    if (spec.partitionCount !== 1) {
      return refuse(
        'BAD_REQUEST',
        'A queue lives in one partition in this version',
        'leave the number of partitions out',
      );
    }
    return this.#defined(await this.#coordinator.execute({ kind: 'define-queue', queue: spec }));
  }

  /**
   * Somebody subscribed to a queue that does not exist. Makes it when `auto_create` says of which kind; two subscribers
   * at once make one queue, because the metadata refuses the second.
   */
  async wanted({ name, topicFilter }: QueueRegistryRequest): Promise<QueueRegistryResponse> {
    if (this.#refuseUnlessReady() !== undefined) return { created: false };
    const { regular, lastValue } = this.#coordinator.machine.config.autoCreate;
    const template = regular === false ? lastValue : regular;
    if (template === false) return { created: false };
    const isLastValue = regular === false;
    const outcome = await this.create({
      ...QUEUE_SETTING_DEFAULTS,
      ...template,
      keyExpression: isLastValue ? (template.keyExpression ?? DEFAULT_KEY_EXPRESSION) : null,
      name,
      topicFilter,
      isLastValue,
      partitionCount: 1,
    });
    return { created: outcome.ok };
  }

  async update(name: string, patch: QueuePatch): Promise<Outcome<QueueDefinition>> {
    const refusal = this.#refuseUnlessReady();
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
      const reply = await this.#coordinator.execute({
        kind: 'update-queue',
        queueId: definition.queueId,
        expectedVersion: definition.version,
        queue,
      });
      // Somebody else's change was first: take it in and patch again.
      if (reply?.result !== 'changed-meanwhile') return this.#defined(reply);
      await this.#coordinator.reached(reply.epoch);
    }
    return refuse('UNAVAILABLE', `The queue ${name} is being changed by others`, 'try again');
  }

  static readonly UPDATE_ATTEMPTS_MAX = 5;

  async remove(name: string): Promise<Outcome<void>> {
    const refusal = this.#refuseUnlessReady();
    if (refusal !== undefined) return refusal;
    const definition = this.#topology.queueByName(name);
    if (definition === undefined) return NOT_FOUND;
    const reply = await this.#coordinator.execute({ kind: 'remove-queue', queueId: definition.queueId });
    const done = await this.#done(reply);
    return done ?? { ok: true, value: undefined };
  }

  async statistics(names: readonly string[]): Promise<Outcome<ReadonlyMap<string, QueueStatistics>>> {
    const refusal = this.#refuseUnlessReady();
    if (refusal !== undefined) return refusal;
    const nameById = new Map<number, string>();
    const idsByNode = new Map<number, number[]>();
    for (const name of names) {
      const definition = this.#topology.queueByName(name);
      if (definition === undefined) continue;
      nameById.set(definition.queueId, name);
      const node = this.#topology.leaderOf(definition.partitions[0] ?? 0);
      const ids = idsByNode.get(node);
      if (ids === undefined) idsByNode.set(node, [definition.queueId]);
      else ids.push(definition.queueId);
    }
    const found = new Map<string, QueueStatistics>();
    for (const [node, queueIds] of idsByNode) {
      const response = await this.#ask(node, { type: 'statistics', queueIds });
      if (response.type !== 'statistics') continue;
      for (const queue of response.queues) {
        const name = nameById.get(queue.queueId);
        if (name !== undefined) found.set(name, statisticsOf(queue, this.#clock.nowMs(), node));
      }
    }
    return { ok: true, value: found };
  }

  async purge(name: string): Promise<Outcome<number>> {
    const at = this.#locate(name);
    if ('ok' in at) return at;
    const response = await this.#ask(at.node, { type: 'purge', queueId: at.definition.queueId });
    return response.type === 'purged' ? { ok: true, value: response.count } : refusalOf(response);
  }

  async peek(name: string, request: PeekRequest): Promise<Outcome<PeekPage>> {
    const at = this.#locate(name);
    if ('ok' in at) return at;
    const partition = at.definition.partitions[0] ?? 0;
    if (request.partition !== null && request.partition !== partition) {
      return refuse(
        'BAD_REQUEST',
        `The queue is not in partition ${request.partition}`,
        `it is in partition ${partition}`,
      );
    }
    const response = await this.#ask(at.node, {
      type: 'peek',
      queueId: at.definition.queueId,
      fromOffset: request.fromOffset ?? 0,
      limit: request.limit,
      payloadBytesMax: request.payloadBytesMax,
    });
    if (response.type !== 'peeked') return refusalOf(response);
    return {
      ok: true,
      value: {
        messages: response.records.map((record) => peekedMessageOf(record, partition)),
        nextOffset: response.nextOffset === 0 ? null : response.nextOffset,
      },
    };
  }

  async config(): Promise<Outcome<QueueSubsystemConfig>> {
    return this.#refuseUnlessReady() ?? { ok: true, value: this.#coordinator.machine.config };
  }

  async patchConfig(patch: Partial<QueueSubsystemConfig>): Promise<Outcome<QueueSubsystemConfig>> {
    const refusal = this.#refuseUnlessReady();
    if (refusal !== undefined) return refusal;
    const config = { ...this.#coordinator.machine.config, ...patch };
    const reply = await this.#coordinator.execute({ kind: 'set-config', config });
    return (await this.#done(reply)) ?? { ok: true, value: this.#coordinator.machine.config };
  }

  #refuseUnlessReady(): Refusal | undefined {
    if (this.#coordinator.leads && this.#topology.epoch > 0) return undefined;
    return refuse('NOT_READY', 'Not ready', 'the metadata has no leader yet: try again in a moment');
  }

  #locate(name: string): { definition: QueueDefinition; node: number } | Refusal {
    const refusal = this.#refuseUnlessReady();
    if (refusal !== undefined) return refusal;
    const definition = this.#topology.queueByName(name);
    if (definition === undefined) return NOT_FOUND;
    return { definition, node: this.#topology.leaderOf(definition.partitions[0] ?? 0) };
  }

  async #ask(node: number, request: StoreAdminRequest): Promise<StoreAdminResponse> {
    return this.#transport.call<StoreAdminRequest, StoreAdminResponse>(node, 'store-admin', request);
  }

  async #defined(reply: MetaReply | undefined): Promise<Outcome<QueueDefinition>> {
    const refusal = await this.#done(reply);
    if (refusal !== undefined) return refusal;
    const changed = reply?.changed;
    return changed === undefined ? UNKNOWN_OUTCOME : { ok: true, value: changed };
  }

  /** Undefined when it was done and every node acts on it. */
  async #done(reply: MetaReply | undefined): Promise<Refusal | undefined> {
    if (reply === undefined) return UNKNOWN_OUTCOME;
    switch (reply.result) {
      case 'done':
        return (await this.#coordinator.reached(reply.epoch)) ? undefined : NOT_EVERYWHERE;
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
        return refuse('BAD_REQUEST', 'The cluster has fewer partitions than that');
      case 'not-found':
        return NOT_FOUND;
      case 'queues-exist':
        return refuse(
          'BAD_REQUEST',
          'Cannot disable MQ subsystem via API when there are existing queues',
          'delete them first',
        );
      case 'changed-meanwhile':
      case 'formed':
      case 'already-formed':
        return UNKNOWN_OUTCOME;
    }
  }
}

const NOT_FOUND: Refusal = refuse(
  'NOT_FOUND',
  'Message queue not found',
  'list the queues with GET /api/v5/message_queues/queues',
);
const UNKNOWN_OUTCOME: Refusal = refuse(
  'UNAVAILABLE',
  'The metadata could not be changed, or nobody knows whether it was',
  'look whether the change is there, then try again',
);
const NOT_EVERYWHERE: Refusal = refuse(
  'TIMEOUT',
  'The change is stored, but not every node acts on it yet',
  'it will take effect by itself; look at GET /readyz of the nodes',
);

function refusalOf(response: StoreAdminResponse): Refusal {
  if (response.type !== 'refused') return UNKNOWN_OUTCOME;
  if (response.code === 'queue-unknown') return NOT_FOUND;
  return refuse(response.code === 'not-leader' ? 'NOT_READY' : 'UNAVAILABLE', response.message);
}

function statisticsOf(queue: StoreQueueStatistics, nowMs: number, node: number): QueueStatistics {
  const hasOldest = queue.oldestAppendedAtMs > 0;
  return {
    depthMessages: queue.depth,
    depthBytes: queue.depthBytes,
    readyMessages: Math.max(0, queue.depth - queue.inflight),
    inflightMessages: queue.inflight,
    lagMessages: queue.depth,
    lagSeconds: hasOldest ? Math.max(0, nowMs - queue.oldestAppendedAtMs) / 1000 : 0,
    oldestPublishedAtMs: hasOldest ? queue.oldestAppendedAtMs : null,
    consumers: queue.consumers,
    keys: queue.keys,
    publishedTotal: queue.publishedTotal,
    publishedBytesTotal: queue.publishedBytesTotal,
    acceptedTotal: queue.acceptedTotal,
    returnedTotal: queue.returnedTotal,
    refusedTotal: queue.refusedTotal,
    expiredTotal: queue.expiredTotal,
    overwrittenTotal: queue.overwrittenTotal,
    droppedTotal: queue.droppedTotal,
    purgedTotal: queue.purgedTotal,
    partitions: [
      {
        partition: queue.partition,
        headOffset: queue.head,
        tailOffset: queue.tail,
        depthMessages: queue.depth,
        depthBytes: queue.depthBytes,
        leader: String(node),
      },
    ],
  };
}

function peekedMessageOf(record: PeekedRecord, partition: number): PeekedMessage {
  const { properties } = record;
  const userProperties: [string, string][] = [];
  const flat = properties?.userProperties ?? [];
  for (let i = 0; i + 1 < flat.length; i += 2) userProperties.push([flat[i] as string, flat[i + 1] as string]);
  return {
    partition,
    offset: record.offset,
    topic: record.topic,
    publisher: record.publisher,
    qos: record.qos,
    retain: record.retain,
    publishedAtMs: record.publishedAtMs,
    expiresAtMs: record.expiresAtMs === 0 ? null : record.expiresAtMs,
    deliveryCount: record.deliveryCount,
    state: record.inflight ? 'inflight' : 'ready',
    key: record.key === undefined ? null : Buffer.from(record.key).toString('utf8'),
    properties: {
      contentType: properties?.contentType,
      responseTopic: properties?.responseTopic,
      correlationData: properties?.correlationData,
      payloadFormatIndicator: properties?.payloadFormatIndicator,
      userProperties,
    },
    payload: record.payload,
    payloadSizeBytes: record.payloadSizeBytes,
    truncated: record.payload.length < record.payloadSizeBytes,
  };
}
