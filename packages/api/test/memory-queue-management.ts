import type { QueueDefinition } from '@sluice/meta/queue-definition';
import { DEFAULT_QUEUE_SUBSYSTEM_CONFIG, type QueueSubsystemConfig } from '@sluice/meta/queue-subsystem-config';
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

/** The port over a map, for tests: obeys the contract, and refuses everything with `down` when that is set. */
export class MemoryQueueManagement implements QueueManagement {
  readonly queues = new Map<string, QueueDefinition>();
  readonly messages = new Map<string, PeekedMessage[]>();
  /** Names of queues whose leaders do not answer. */
  readonly silent = new Set<string>();
  settings: QueueSubsystemConfig = DEFAULT_QUEUE_SUBSYSTEM_CONFIG;
  down: Refusal | undefined;
  nowMs = 1_800_000_000_000;
  #image: QueueDefinition[] | undefined;
  #nextId = 1;

  async list(): Promise<Outcome<readonly QueueDefinition[]>> {
    this.#image ??= [...this.queues.values()];
    return this.down ?? { ok: true, value: this.#image };
  }

  async get(name: string): Promise<Outcome<QueueDefinition>> {
    if (this.down !== undefined) return this.down;
    const queue = this.queues.get(name);
    return queue === undefined ? refuse('NOT_FOUND', 'Message queue not found') : { ok: true, value: queue };
  }

  async create(spec: QueueSpec): Promise<Outcome<QueueDefinition>> {
    if (this.down !== undefined) return this.down;
    if (this.queues.has(spec.name)) return refuse('ALREADY_EXISTS', 'Message queue already exists');
    if (this.queues.size >= this.settings.queueCountMax) {
      return refuse('MAX_QUEUE_COUNT_REACHED', 'Max queue count reached', 'Raise max_queue_count');
    }
    const { partitionCount, ...rest } = spec;
    const partitions = Array.from({ length: partitionCount }, (_, i) => i);
    const queue = { ...rest, queueId: this.#nextId++, partitions, version: 1, createdAtMs: this.nowMs };
    this.#put(queue);
    return { ok: true, value: queue };
  }

  async update(name: string, patch: QueuePatch): Promise<Outcome<QueueDefinition>> {
    const found = await this.get(name);
    if (!found.ok) return found;
    const current = found.value;
    const queue = {
      ...current,
      ...patch,
      limits: { ...current.limits, ...patch.limits },
      version: current.version + 1,
    };
    this.#put(queue);
    return { ok: true, value: queue };
  }

  async remove(name: string): Promise<Outcome<void>> {
    const found = await this.get(name);
    if (!found.ok) return found;
    this.queues.delete(name);
    this.messages.delete(name);
    this.#image = undefined;
    return { ok: true, value: undefined };
  }

  async statistics(names: readonly string[]): Promise<Outcome<ReadonlyMap<string, QueueStatistics>>> {
    if (this.down !== undefined) return this.down;
    const known = names.filter((name) => this.queues.has(name) && !this.silent.has(name));
    return { ok: true, value: new Map(known.map((name) => [name, this.#figures(name)])) };
  }

  async purge(name: string): Promise<Outcome<number>> {
    const found = await this.get(name);
    if (!found.ok) return found;
    const purged = this.messages.get(name)?.length ?? 0;
    this.messages.delete(name);
    return { ok: true, value: purged };
  }

  async peek(name: string, request: PeekRequest): Promise<Outcome<PeekPage>> {
    const found = await this.get(name);
    if (!found.ok) return found;
    const all = (this.messages.get(name) ?? []).filter(({ offset }) => offset >= (request.fromOffset ?? 0));
    const messages = all.slice(0, request.limit).map((message) => ({
      ...message,
      payload: message.payload.subarray(0, request.payloadBytesMax),
      truncated: message.payload.length > request.payloadBytesMax,
    }));
    return { ok: true, value: { messages, nextOffset: all[request.limit]?.offset ?? null } };
  }

  async config(): Promise<Outcome<QueueSubsystemConfig>> {
    return { ok: true, value: this.settings };
  }

  async patchConfig(patch: Partial<QueueSubsystemConfig>): Promise<Outcome<QueueSubsystemConfig>> {
    if (patch.enable === false && this.queues.size > 0) {
      return refuse('BAD_REQUEST', 'Cannot disable MQ subsystem via API when there are existing queues');
    }
    this.settings = { ...this.settings, ...patch };
    return { ok: true, value: this.settings };
  }

  /** Puts a message into a queue as if it had been published. */
  store(name: string, payload: Uint8Array | string, more: Partial<PeekedMessage> = {}): void {
    const list = this.messages.get(name) ?? [];
    this.messages.set(name, list);
    const bytes = typeof payload === 'string' ? new TextEncoder().encode(payload) : payload;
    list.push({
      partition: 0,
      offset: (list.at(-1)?.offset ?? -1) + 1,
      topic: 'orders/1',
      publisher: 'p1',
      qos: 1,
      retain: false,
      publishedAtMs: this.nowMs - 60_000,
      expiresAtMs: null,
      deliveryCount: 0,
      state: 'ready',
      key: null,
      properties: { userProperties: [] },
      payload: bytes,
      payloadSizeBytes: bytes.length,
      truncated: false,
      ...more,
    });
  }

  #put(queue: QueueDefinition): void {
    this.queues.set(queue.name, queue);
    this.#image = undefined;
  }

  #figures(name: string): QueueStatistics {
    const messages = this.messages.get(name) ?? [];
    const inflight = messages.filter(({ state }) => state === 'inflight').length;
    const bytes = messages.reduce((sum, { payloadSizeBytes }) => sum + payloadSizeBytes, 0);
    const oldest = messages[0]?.publishedAtMs ?? null;
    const tail = (messages.at(-1)?.offset ?? -1) + 1;
    return {
      depthMessages: messages.length,
      depthBytes: bytes,
      readyMessages: messages.length - inflight,
      inflightMessages: inflight,
      lagMessages: messages.length,
      lagSeconds: oldest === null ? 0 : (this.nowMs - oldest) / 1_000,
      oldestPublishedAtMs: oldest,
      lagObjectiveSeconds: (this.queues.get(name)?.lagObjectiveMs ?? 300_000) / 1_000,
      consumers: 2,
      status: 'ok',
      publishedPerSecond: null,
      settledPerSecond: null,
      drainSeconds: null,
      deliveredTotal: 0,
      redeliveredTotal: 0,
      keys: 0,
      publishedTotal: messages.length,
      publishedBytesTotal: bytes,
      acceptedTotal: 0,
      returnedTotal: 0,
      refusedTotal: 0,
      expiredTotal: 0,
      overwrittenTotal: 0,
      droppedTotal: 0,
      purgedTotal: 0,
      partitions: [
        {
          partition: 0,
          headOffset: 0,
          tailOffset: tail,
          depthMessages: messages.length,
          depthBytes: bytes,
          leader: 'n1',
        },
      ],
    };
  }
}
