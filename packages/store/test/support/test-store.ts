import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '@sluice/common/clock';
import { silentLogger } from '@sluice/common/logger';
import { type Labels, type Metrics, PlainMetrics } from '@sluice/common/metrics';
import { SeededPrng } from '@sluice/common/prng';
import { SUPPORTED_LEVELS } from '@sluice/meta/feature-levels';
import type { PartitionInfo } from '@sluice/meta/partition-info';
import type { QueueDefinition } from '@sluice/meta/queue-definition';
import { DEFAULT_QUEUE_SUBSYSTEM_CONFIG } from '@sluice/meta/queue-subsystem-config';
import { Topology, type TopologyImageInfo } from '@sluice/meta/topology';
import { openNodeStorage } from '@sluice/multiraft/disk/node-storage';
import { RaftHost } from '@sluice/multiraft/raft-host';
import { SnapshotExchange } from '@sluice/multiraft/snapshot/snapshot-exchange';
import type { RecordInput } from '@sluice/queue/record/record';
import { RecordBatchBuilder } from '@sluice/queue/record/record-batch-builder';
import type { AppendRequest, AppendResponse } from '@sluice/rpc/contract/append';
import type { ConsumeRequest, ConsumeResponse, HeldItem } from '@sluice/rpc/contract/consume';
import type { StoreQueueStatistics } from '@sluice/rpc/contract/store-admin';
import { InprocTransport } from '@sluice/rpc/inproc/inproc-transport';
import { ServiceTable } from '@sluice/rpc/inproc/service-table';
import { WIRE_COPIES } from '@sluice/rpc/inproc/wire-copies';
import type { Channel } from '@sluice/rpc/transport';
import { openEntryLog } from '@sluice/storage/entry-log/open-entry-log';
import type { EntryLog } from '@sluice/storage/entry-log-contract';
import type { Partition } from '../../src/partition/partition.ts';
import { Store } from '../../src/store.ts';
import type { StoreOptions } from '../../src/store-options.ts';
import { GatedEngine } from './gated-engine.ts';
import { TestConsumer } from './test-consumer.ts';

const ALONE = { replicas: [1], preferredLeader: 1, bootstrap: true };

/**
 * A store as a node runs it, over an engine in memory and a real entry log in a temporary directory. Publishing and
 * consuming go over the same channels that gateways use.
 */
export class TestStore {
  readonly topology = new Topology();
  readonly metrics = new PlainMetrics();
  readonly directory: string;
  /** Added to the wall clock. */
  skewMs = 0;
  /** Added to the monotonic clock. */
  sleepMs = 0;
  readonly clock: Clock = {
    nowMs: () => Date.now() + this.skewMs,
    monotonicMs: () => performance.now() + this.sleepMs,
  };
  /** The engine's rows outlive a restart, as those of a database would. */
  readonly engine = new GatedEngine();
  readonly #services = new ServiceTable();
  readonly transport = this.transportOf(1);
  store!: Store;
  host!: RaftHost;
  entryLog!: EntryLog;
  #append!: Channel<AppendRequest, AppendResponse>;
  #consume!: Channel<ConsumeRequest, ConsumeResponse>;
  readonly #consumers = new Map<number, TestConsumer>();
  /** What the store said of partitions. */
  readonly said: ConsumeResponse[] = [];
  #retained = { countMax: 1_000_000, bytesMax: 1024 * 1024 * 1024 };
  /** Gauges and counters that are read when somebody asks, by name. */
  readonly collected = new Map<string, () => Iterable<[Labels, number]>>();
  readonly #answers = new Map<number, (response: AppendAnswer) => void>();
  #sequence = 0;
  #nextConsumerId = 1;
  #version = 0;

  readonly #over: Partial<StoreOptions>;

  private constructor(directory: string, over: Partial<StoreOptions>) {
    this.#over = over;
    this.directory = directory;
    const metrics: Metrics = this.metrics;
    metrics.collect = (name, _help, _type, read) => {
      this.collected.set(name, read);
    };
  }

  static async start(over: Partial<StoreOptions> = {}): Promise<TestStore> {
    const store = new TestStore(await mkdtemp(join(tmpdir(), 'sluice-store-')), over);
    store.topology.reset(imageOf([1, 2].map((partition) => ({ partition, ...ALONE }))));
    await store.#open();
    return store;
  }

  async #open(): Promise<void> {
    const { clock, metrics, topology } = this;
    const prng = new SeededPrng(1);
    const storage = await openNodeStorage({
      directory: this.directory,
      logger: silentLogger,
      metrics,
      openEngine: async () => this.engine,
      openEntryLog: async (directory, durableMark) => {
        this.entryLog = await openEntryLog({ directory, durableMark, logger: silentLogger, metrics, sync: false });
        return this.entryLog;
      },
    });
    this.host = new RaftHost(storage, {
      nodeId: 1,
      clock,
      logger: silentLogger,
      metrics,
      prng,
      transport: this.transport,
      snapshots: (parts) => new SnapshotExchange(parts),
      liveEntries: async () => [],
    });
    this.store = new Store({
      nodeId: 1,
      transport: this.transport,
      storage,
      host: this.host,
      topology,
      clock,
      logger: silentLogger,
      metrics,
      prng,
      readCacheBytesMax: 1024 * 1024,
      retained: this.#retained,
      diskReserveBytes: 0,
      ...this.#over,
    });
    await this.store.open();
    this.store.serve(this.transport);
    this.host.start();
    this.store.topologyChanged();
    await this.store.ready();
    await until(() => [1, 2].every((partition) => this.host.leads(partition)), 'both partitions are led');
    await this.store.settled();
    this.#append = this.transport.open(1, 'append');
    this.#append.onMessage((response) => {
      if (response.type !== 'answer') return;
      this.#answers.get(response.sequence)?.(response);
      this.#answers.delete(response.sequence);
    });
    this.reconnect();
  }

  /** The channel of all consumers closes, as when their gateway dies; a new one is there for later consumers. */
  reconnect(): void {
    this.#consume?.close();
    this.#consumers.clear();
    this.#consume = this.transport.open(1, 'consume');
    this.#consume.onMessage((response) => {
      if (response.type === 'leading' || response.type === 'settled') this.said.push(response);
      else this.#consumers.get(response.consumerId)?.receive(response);
    });
  }

  /** The process ends and starts again; with `orderly` false, nothing that was under way is finished. */
  async restart(): Promise<void> {
    await this.store.close();
    await this.host.close();
    this.engine.reopen();
    await this.#open();
  }

  /** Started again with other limits. */
  async limitRetained(retained: { countMax: number; bytesMax: number }): Promise<void> {
    this.#retained = retained;
    await this.restart();
  }

  async remove(): Promise<void> {
    this.engine.release();
    await this.store.close();
    await this.host.close();
    await rm(this.directory, { recursive: true, force: true });
  }

  /** Defines a queue, or changes the one of that id. */
  async define(over: Partial<QueueDefinition> = {}): Promise<QueueDefinition> {
    const definition = { ...DEFINITION, ...over, version: ++this.#version };
    this.topology.applyDelta({ ...NO_CHANGE, epoch: this.topology.epoch + 1, changed: [definition] });
    await this.#acted();
    return definition;
  }

  async undefine(queueId: number): Promise<void> {
    this.topology.applyDelta({ ...NO_CHANGE, epoch: this.topology.epoch + 1, removed: [queueId] });
    await this.#acted();
  }

  async #acted(): Promise<void> {
    this.store.topologyChanged();
    await this.store.settled();
  }

  /** One batch with a record a payload, as text; answered. A text `k=v` has the key `k` for a last-value queue. */
  async publish(queueId: number, texts: readonly string[], over: Partial<RecordInput> = {}): Promise<AppendAnswer> {
    const builder = new RecordBatchBuilder();
    for (const text of texts) builder.add(this.record(queueId, text, over));
    return await this.append(queueId, builder.finish());
  }

  /** A batch, and so an entry and an index row, for each. */
  async publishEach(queueId: number, texts: readonly string[], over: Partial<RecordInput> = {}): Promise<void> {
    for (const text of texts) await this.publish(queueId, [text], over);
  }

  record(queueId: number, text: string, over: Partial<RecordInput> = {}): RecordInput {
    const isLastValue = this.topology.queue(queueId)?.isLastValue === true;
    const key = isLastValue ? Buffer.from(text.split('=')[0] as string) : undefined;
    return {
      targets: [{ queueId, key }],
      topic: 't',
      payload: Buffer.from(text),
      qos: 1,
      retain: false,
      publisher: 'p',
      publishedAtMs: this.clock.nowMs(),
      expiresAtMs: 0,
      properties: undefined,
      ...over,
    };
  }

  append(queueId: number, batch: Uint8Array): Promise<AppendAnswer> {
    const partition = this.topology.queue(queueId)?.partitions[0] ?? 1;
    const sequence = ++this.#sequence;
    return new Promise((resolve) => {
      this.#answers.set(sequence, resolve);
      this.#append.send({ sequence, partition, batch });
    });
  }

  attach(queueId: number, window = 10, held: readonly HeldItem[] = [], recordBytesMax = 0): TestConsumer {
    const consumerId = this.#nextConsumerId++;
    const partition = this.topology.queue(queueId)?.partitions[0] ?? 1;
    const consumer = new TestConsumer(this.#consume, consumerId, partition);
    this.#consumers.set(consumerId, consumer);
    const clientId = `client ${consumerId}`;
    const of = { consumerId, partition, queueId, window, clientId, generation: 0, held };
    this.#consume.send({ type: 'attach', ...of, ...(recordBytesMax > 0 ? { recordBytesMax } : {}) });
    return consumer;
  }

  /** The channel of all consumers, for tests that say more on it than `attach` does. */
  get consumers(): Channel<ConsumeRequest, ConsumeResponse> {
    return this.#consume;
  }

  adopt(consumerId: number, consumer: TestConsumer): void {
    this.#consumers.set(consumerId, consumer);
  }

  /** How a node reaches this store. */
  transportOf(nodeId: number): InprocTransport {
    return new InprocTransport({ copies: WIRE_COPIES, services: this.#services, nodeId });
  }

  partition(number: number): Partition {
    return this.store.partitions.get(number) as Partition;
  }

  async statistics(queueId: number): Promise<StoreQueueStatistics> {
    const response = await this.store.admin.answer({ type: 'statistics', queueIds: [queueId] });
    const figures = response.type === 'statistics' ? response.queues[0] : undefined;
    if (figures === undefined) throw new Error(`no figures of queue ${queueId}`);
    return figures;
  }

  /** Payloads that are stored and not settled, in order. */
  async stored(queueId: number): Promise<string[]> {
    const request = {
      type: 'peek',
      queueId,
      partition: 0,
      fromOffset: 0,
      limit: 10_000,
      payloadBytesMax: 1024,
    } as const;
    const response = await this.store.admin.answer(request);
    if (response.type !== 'peeked') throw new Error(JSON.stringify(response));
    return response.records.map(({ payload }) => Buffer.from(payload).toString());
  }

  async purge(queueId: number): Promise<number> {
    const response = await this.store.admin.answer({ type: 'purge', queueId, partition: 0 });
    if (response.type !== 'purged') throw new Error(JSON.stringify(response));
    return response.count;
  }
}

export type AppendAnswer = Extract<AppendResponse, { type: 'answer' }>;

/** Everything that was started by what happened so far has come to rest: nothing is under way in memory or on disk. */
export async function rest(turns = 20): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise((resolve) => setTimeout(resolve, 1));
}

export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  withinMs = 5_000,
): Promise<void> {
  const deadlineMs = performance.now() + withinMs;
  while (!(await condition())) {
    if (performance.now() > deadlineMs) throw new Error(`not reached in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

export const NO_CHANGE = {
  changed: [],
  removed: [],
  nodes: [],
  removedNodes: [],
  partitions: [],
  config: undefined,
};

export function imageOf(
  partitions: readonly PartitionInfo[],
  queues: readonly QueueDefinition[] = [],
): TopologyImageInfo {
  const { length } = partitions;
  const config = DEFAULT_QUEUE_SUBSYSTEM_CONFIG;
  return {
    epoch: 1,
    clusterId: 'c',
    partitionCount: length,
    replicationFactor: 1,
    nodes: [],
    partitions,
    config,
    queues,
    featureLevel: { level: SUPPORTED_LEVELS.max, isHeld: false },
  };
}

export const DEFINITION: QueueDefinition = {
  queueId: 1,
  name: 'q',
  topicFilter: 't',
  isLastValue: false,
  keyExpression: null,
  dispatchStrategy: 'round_robin',
  dataRetentionMs: 7 * 86_400_000,
  limits: { countMax: null, bytesMax: null, overflow: 'refuse' },
  localMaxInflight: 10,
  redispatchIntervalMs: 50,
  consumerMaxInactiveMs: 30_000,
  pingIntervalMs: 10_000,
  busySessionRetryIntervalMs: 100,
  streamMaxBufferSize: 2000,
  streamMaxUnacked: 1000,
  consumerPersistenceIntervalMs: 10_000,
  partitions: [1],
  version: 1,
  createdAtMs: 0,
};
