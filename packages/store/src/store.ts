import type { Clock } from '@sluice/common/clock';
import { withHint } from '@sluice/common/errors';
import type { Logger } from '@sluice/common/logger';
import type { Metrics } from '@sluice/common/metrics';
import type { Prng } from '@sluice/common/prng';
import type { Topology } from '@sluice/meta/topology';
import type { NodeStorage } from '@sluice/multiraft/node-storage';
import type { RaftHost } from '@sluice/multiraft/raft-host';
import { QueueMachine } from '@sluice/queue/machine/queue-machine';
import { RESIDENT_RANGES } from '@sluice/queue/machine/row-keys';
import type { AppendRequest, AppendResponse } from '@sluice/rpc/contract/append';
import type { ConsumeRequest, ConsumeResponse } from '@sluice/rpc/contract/consume';
import type { StoreAdminRequest, StoreAdminResponse } from '@sluice/rpc/contract/store-admin';
import type { ServiceRegistry } from '@sluice/rpc/transport';
import { DiskGuard } from './disk-guard.ts';
import { Partition } from './partition.ts';
import { QueueConfigurator } from './queue-configurator.ts';
import { RecordReader } from './record-reader.ts';
import { RetentionSweeper } from './retention-sweeper.ts';
import { AdminService } from './service/admin-service.ts';
import { AppendService } from './service/append-service.ts';
import { ConsumeService } from './service/consume-service.ts';

/**
 * The storage tier of one node: its partitions on the node's Raft host, and the services gateways and operators use.
 * It keeps every message; it does not speak MQTT.
 */
export class Store {
  readonly admin: AdminService;
  readonly #options: StoreOptions;
  readonly #partitions = new Map<number, Partition>();
  readonly #records: RecordReader;
  readonly #disk: DiskGuard;
  readonly #configurator: QueueConfigurator;
  readonly #sweeper: RetentionSweeper;
  readonly #stopped = new Set<Partition>();
  /** By queue id. */
  readonly #dispatchFailures = new Map<number, { queue: string; cause: Error }>();
  #allLead: (() => void) | undefined;

  constructor(options: StoreOptions) {
    this.#options = options;
    const { storage, metrics, logger, clock, topology } = options;
    this.#records = new RecordReader({ entryLog: storage.entryLog, bytesMax: options.readCacheBytesMax, metrics });
    this.#disk = new DiskGuard({
      directory: storage.directory,
      logger,
      metrics,
      reserveBytes: options.diskReserveBytes,
    });
    const partitions = this.#partitions;
    this.#configurator = new QueueConfigurator({ partitions, topology, logger });
    this.#sweeper = new RetentionSweeper({ partitions, topology, clock, logger });
    this.admin = new AdminService({ partitions, topology, records: this.#records });
  }

  /** Adds the partitions to the host. They serve once they lead. */
  async open(): Promise<void> {
    await this.#disk.start();
    for (let groupId = 1; groupId <= this.#options.partitionCount; groupId++) {
      const partition = new Partition({
        groupId,
        host: this.#options.host,
        engine: this.#options.storage.engine,
        records: this.#records,
        topology: this.#options.topology,
        clock: this.#options.clock,
        prng: this.#options.prng,
        logger: this.#options.logger,
        onLeading: () => this.#leadershipMoved(),
        onStopped: (stopped) => this.#partitionStopped(stopped),
        onDispatchFailed: (group, queueId, cause) => this.#dispatchFailed(group, queueId, cause),
        onDispatchRecovered: (queueId) => this.#dispatchRecovered(queueId),
      });
      partition.machine = await this.#options.host.addGroup({
        groupId,
        membership: this.#options.membership,
        residentRanges: RESIDENT_RANGES,
        restore: (rows) => QueueMachine.restore(rows),
        listener: partition,
      });
      this.#partitions.set(groupId, partition);
    }
  }

  serve(registry: ServiceRegistry): void {
    const append = new AppendService({
      partitions: this.#partitions,
      disk: this.#disk,
      records: this.#records,
      logger: this.#options.logger,
      metrics: this.#options.metrics,
    });
    const consume = new ConsumeService(this.#partitions);
    registry.serveChannel<AppendRequest, AppendResponse>('append', (channel) => append.accept(channel));
    registry.serveChannel<ConsumeRequest, ConsumeResponse>('consume', (channel) => consume.accept(channel));
    registry.serveCall<StoreAdminRequest, StoreAdminResponse>('store-admin', (request) => this.admin.answer(request));
    this.#sweeper.start();
  }

  /** Resolves when every partition that has this node as its only voter is led here, or cannot be. */
  allLead(): Promise<void> {
    return new Promise((resolve) => {
      this.#allLead = resolve;
      this.#maybeAllLead();
    });
  }

  /** Resolves when the partitions led here act on the newest image. */
  settled(): Promise<void> {
    return this.#configurator.settle();
  }

  topologyChanged(): void {
    this.#sweeper.definitionsChanged();
  }

  /** Which entries still hold live records; for the reclaimer. */
  liveEntries(
    groupId: number,
    first: number,
    last: number,
    limit: number,
  ): Promise<{ index: number; bytes: number }[]> {
    return this.#partitions.get(groupId)?.index.liveEntries(first, last, limit) ?? Promise.resolve([]);
  }

  /** Something filled the disk to its end. */
  diskFull(): void {
    void this.#disk.giveUpBallast();
  }

  /** Why this store cannot do all it should; empty while it can. */
  problems(): string[] {
    const problems: string[] = [];
    if (this.#disk.low) problems.push('the disk is almost full: publishes into queues are refused');
    for (const { queue, cause } of this.#dispatchFailures.values()) problems.push(`queue ${queue}: ${withHint(cause)}`);
    return problems;
  }

  /** After the last gateway has left: what consumers settled or gave back is proposed. */
  async drain(): Promise<void> {
    // Channels hand their last messages over in microtasks of this turn.
    await new Promise((resolve) => setImmediate(resolve));
    for (const partition of this.#partitions.values()) partition.settles.flush();
  }

  close(): void {
    this.#sweeper.stop();
    this.#disk.stop();
  }

  #leadershipMoved(): void {
    void this.#configurator.leadershipMoved();
    this.#maybeAllLead();
  }

  #partitionStopped(partition: Partition): void {
    this.#stopped.add(partition);
    this.#maybeAllLead();
  }

  #maybeAllLead(): void {
    if (this.#allLead === undefined) return;
    for (const partition of this.#partitions.values()) {
      if (!partition.leads && !this.#stopped.has(partition)) return;
    }
    this.#allLead();
    this.#allLead = undefined;
  }

  #dispatchFailed(groupId: number, queueId: number, cause: Error): void {
    const queue = this.#options.topology.queue(queueId)?.name ?? String(queueId);
    const known = this.#dispatchFailures.get(queueId);
    this.#dispatchFailures.set(queueId, { queue, cause });
    if (known?.cause.message === cause.message) return;
    this.#options.logger.error(
      { err: cause, partition: groupId, queue },
      'a stored record cannot be read: this queue stands still rather than skip it, and tries again',
    );
  }

  #dispatchRecovered(queueId: number): void {
    const known = this.#dispatchFailures.get(queueId);
    if (known === undefined) return;
    this.#dispatchFailures.delete(queueId);
    this.#options.logger.info({ queue: known.queue }, 'the stored record could be read: this queue goes on');
  }
}

export interface StoreOptions {
  storage: NodeStorage;
  host: RaftHost;
  topology: Topology;
  membership: Parameters<RaftHost['addGroup']>[0]['membership'];
  partitionCount: number;
  clock: Clock;
  logger: Logger;
  metrics: Metrics;
  prng: Prng;
  readCacheBytesMax: number;
  /** Undefined: a share of the disk. */
  diskReserveBytes: number | undefined;
}
