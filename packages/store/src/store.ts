import type { Clock } from '@sluice/common/clock';
import { SluiceError, withHint } from '@sluice/common/errors';
import type { Logger } from '@sluice/common/logger';
import type { Metrics } from '@sluice/common/metrics';
import type { Prng } from '@sluice/common/prng';
import type { Topology } from '@sluice/meta/topology';
import type { NodeStorage } from '@sluice/multiraft/node-storage';
import type { RaftHost } from '@sluice/multiraft/raft-host';
import { RETAINED_QUEUE_ID } from '@sluice/queue/machine/internal-queues';
import type { QueueState } from '@sluice/queue/machine/queue-state';
import type { AppendRequest, AppendResponse } from '@sluice/rpc/contract/append';
import type { ConsumeRequest, ConsumeResponse } from '@sluice/rpc/contract/consume';
import type { RetainedRequest, RetainedResponse } from '@sluice/rpc/contract/retained';
import type { SessionsRequest, SessionsResponse } from '@sluice/rpc/contract/sessions';
import type { StoreAdminRequest, StoreAdminResponse } from '@sluice/rpc/contract/store-admin';
import type { ServiceRegistry, Transport } from '@sluice/rpc/transport';
import { DiskGuard, type DiskSpace } from './disk-guard.ts';
import { viewOf } from './group-view.ts';
import { HandOvers } from './hand-overs.ts';
import { LeaderBalancer } from './leader-balancer.ts';
import { MembershipKeeper } from './membership-keeper.ts';
import { canDoWithoutSelf, heirsOf } from './membership-step.ts';
import { dropFailures } from './metrics/drop-failures.ts';
import { QueueGatherer } from './metrics/queue-gatherer.ts';
import { collectReplicaMetrics } from './metrics/replica-metrics.ts';
import { Partition, type PartitionEvents } from './partition.ts';
import { PartitionSet } from './partition-set.ts';
import { PublisherSweeper } from './publisher-sweeper.ts';
import { QueueConfigurator, type RetainedLimits } from './queue-configurator.ts';
import { RecordReader } from './record-reader.ts';
import { collectRetainedMetrics } from './retained/retained-metrics.ts';
import { RetainedSweeper } from './retained/retained-sweeper.ts';
import { RetentionSweeper } from './retention-sweeper.ts';
import { AdminService } from './service/admin-service.ts';
import { AppendService } from './service/append-service.ts';
import { ConsumeService } from './service/consume-service.ts';
import { DeliveryBound } from './service/delivery-bound.ts';
import { RetainedService } from './service/retained-service.ts';
import { SessionService, type StreamLimits } from './service/session-service.ts';
import type { WillStep } from './session/partition-wills.ts';
import { SessionMetrics } from './session/session-metrics.ts';
import { type StoreNodeReport, StoreReport } from './store-report.ts';
import { Turnstile } from './turnstile.ts';

/**
 * The storage tier of one node: its replicas of partitions on the node's Raft host, and the services gateways, operators
 * and other stores use. It keeps every message; it does not speak MQTT.
 */
export class Store {
  readonly admin: AdminService;
  /** What the metrics pages say of queues. */
  readonly figures: QueueGatherer;
  readonly #options: StoreOptions;
  readonly #partitions: PartitionSet;
  readonly #records: RecordReader;
  readonly #disk: DiskGuard;
  readonly #configurator: QueueConfigurator;
  readonly #sweeper: RetentionSweeper;
  readonly #retained: RetainedService;
  readonly #retainedSweeper: RetainedSweeper;
  readonly #publisherSweeper: PublisherSweeper;
  readonly #append: AppendService;
  readonly #consume: ConsumeService;
  readonly #sessions: SessionService;
  readonly #sessionMetrics: SessionMetrics;
  /** One after the other, over all partitions. */
  readonly #expiries = new Turnstile(1);
  readonly #handOvers: HandOvers;
  readonly #keeper: MembershipKeeper;
  readonly #balancer: LeaderBalancer;
  readonly #report: StoreReport;
  /** By queue id. */
  readonly #dispatchFailures = new Map<number, { queue: string; cause: Error }>();
  readonly #movedListeners: (() => void)[] = [];
  #whenReady: (() => void)[] = [];
  /** Of the image that was looked at last. */
  #epoch = 0;
  #timer: NodeJS.Timeout | undefined;
  #ticks = 0;
  #lookScheduled = false;
  #draining = false;
  #servesSinceMs = 0;

  static readonly TICK_MS = 250;
  /** A replica that is wanted no more is looked at with every so manieth tick: its leader is asked each time. */
  static readonly RECONCILE_TICKS = 4;
  /** So long after its start a store does not go by who is said to live: nobody may have told it yet. */
  static readonly YOUNG_MS = 10_000;
  /** How often a drain looks for heirs. */
  static readonly DRAIN_LOOK_MS = 50;
  /** Nobody is fit to take any of the leaderships: the others are gone as well, and waiting would only delay the stop. */
  static readonly DRAIN_HEIRLESS_MS = 1000;
  /** Heirs are asked whether they agree for so much of a drain's time; then anybody who can must. */
  static readonly DRAIN_ASK_SHARE = 0.2;
  /** Applied so far behind the log, a follower would serve only after a while. */
  static readonly APPLY_LAG_ENTRIES_MAX = 1024;

  constructor(options: StoreOptions) {
    this.#options = options;
    const { nodeId, host, storage, metrics, logger, clock, topology, transport } = options;
    this.#records = new RecordReader({ entryLog: storage.entryLog, bytesMax: options.readCacheBytesMax, metrics });
    this.#disk = new DiskGuard({
      directory: storage.directory,
      logger,
      metrics,
      reserveBytes: options.diskReserveBytes,
      space: options.diskSpace,
    });
    this.#partitions = new PartitionSet({
      nodeId,
      host,
      topology,
      transport,
      clock,
      logger,
      metrics,
      make: (groupId) => this.#makePartition(groupId),
      onMoved: () => this.#moved(),
    });
    const { partitions } = this.#partitions;
    const { retained, streamLimits: limits = DEFAULT_STREAM_LIMITS } = options;
    this.#configurator = new QueueConfigurator({ partitions, topology, retained, logger });
    this.#sweeper = new RetentionSweeper({ partitions, topology, clock, logger });
    const records = this.#records;
    const events = {
      failed: (groupId: number, cause: Error) => this.#dispatchFailed(groupId, RETAINED_QUEUE_ID, cause),
      recovered: () => this.#dispatchRecovered(RETAINED_QUEUE_ID),
    };
    this.#retained = new RetainedService({ partitions, topology, records, clock, events, metrics });
    this.#retainedSweeper = new RetainedSweeper({ partitions, clock, logger });
    this.#publisherSweeper = new PublisherSweeper({ partitions, engine: storage.engine, clock, logger });
    collectRetainedMetrics(metrics, partitions);
    collectReplicaMetrics(metrics, { host, partitions, topology });
    this.#append = new AppendService({
      partitions,
      disk: this.#disk,
      records: this.#records,
      queueIdMax: () => this.#configurator.queueIdMax,
      clock,
      logger,
      metrics,
    });
    const bound = new DeliveryBound({ metrics, logger });
    this.#consume = new ConsumeService(partitions, () => this.#gateways(), { clock, bound });
    this.#sessionMetrics = new SessionMetrics(metrics, partitions);
    this.#sessions = new SessionService({ partitions, gateways: () => this.#gateways(), clock, limits, bound });
    const wouldLead = (partition: Partition): boolean => this.#wouldLead(partition);
    const { lagObjectiveMs: objectiveMs = DEFAULT_LAG_OBJECTIVE_MS } = options;
    this.figures = new QueueGatherer({ partitions, topology, clock, objectiveMs });
    const paceOf = (queue: Readonly<QueueState>) => this.figures.paceOf(queue);
    this.admin = new AdminService({ partitions, topology, records, wouldLead, paceOf, clock });
    this.#handOvers = new HandOvers({ host, transport, clock, logger });
    this.#keeper = new MembershipKeeper({ host, partitions, topology, handOvers: this.#handOvers, logger });
    this.#balancer = new LeaderBalancer({
      nodeId,
      host,
      partitions,
      topology,
      keeper: this.#keeper,
      handOvers: this.#handOvers,
      clock,
    });
    this.#report = new StoreReport(host, partitions);
  }

  get partitions(): ReadonlyMap<number, Partition> {
    return this.#partitions.partitions;
  }

  /** Adds the replicas that are in this node's log to the host. Others come with the image. */
  async open(): Promise<void> {
    await this.#disk.start();
    await this.#partitions.open();
  }

  serve(registry: ServiceRegistry): void {
    registry.serveChannel<AppendRequest, AppendResponse>('append', (channel) => this.#append.accept(channel));
    registry.serveChannel<ConsumeRequest, ConsumeResponse>('consume', (channel, from) =>
      this.#consume.accept(channel, from),
    );
    registry.serveChannel<SessionsRequest, SessionsResponse>('sessions', (channel, from) =>
      this.#sessions.accept(channel, from),
    );
    registry.serveCall<StoreAdminRequest, StoreAdminResponse>('store-admin', (request) => this.admin.answer(request));
    registry.serveCall<RetainedRequest, RetainedResponse>('retained', (request) => this.#retained.answer(request));
    this.#sweeper.start();
    this.#retainedSweeper.start();
    this.#publisherSweeper.start();
    this.figures.start();
    this.#sessions.start();
    this.#servesSinceMs = this.#options.clock.monotonicMs();
    this.#timer = setInterval(() => this.#tick(), Store.TICK_MS);
  }

  /** Resolves when every partition that the image places here is open and has a known leader, or cannot have one. */
  ready(): Promise<void> {
    return new Promise((resolve) => {
      this.#whenReady.push(resolve);
      this.#maybeReady();
    });
  }

  /** What `ready` waits for, for people; undefined when it is so. */
  unready(): string | undefined {
    if (!this.#partitions.isComplete) return 'its partitions are not placed or not opened yet';
    const { host, topology } = this.#options;
    const impaired = host.impaired();
    const leaderless: number[] = [];
    for (const { groupId, isStopped, leader } of this.#partitions.partitions.values()) {
      if (isStopped || impaired.includes(groupId) || leader !== 0 || topology.leaderOf(groupId) !== 0) continue;
      if (topology.replicasOf(groupId).includes(this.#options.nodeId)) leaderless.push(groupId);
    }
    return leaderless.length === 0 ? undefined : `no leader is known of partitions ${leaderless.join(', ')}`;
  }

  /** Resolves when the partitions led here act on the newest image. */
  settled(): Promise<void> {
    return this.#configurator.settle();
  }

  /** To be called after every change of the image. */
  topologyChanged(): void {
    const { topology } = this.#options;
    const queueIds = topology.queuesChangedSince(this.#epoch);
    this.#epoch = topology.epoch;
    this.#sweeper.definitionsChanged(queueIds);
    for (const queueId of queueIds ?? []) {
      if (topology.queue(queueId) === undefined) this.#consume.queueRemoved(queueId);
    }
    this.#partitions.reconcile();
    this.#lookSoon();
    this.#maybeReady();
  }

  /** What the coordinator wants to know of this store every second. */
  report(): StoreNodeReport {
    return this.#report.now();
  }

  /** Called when a leader, a membership or a replica moved: the coordinator should be told soon. */
  onMoved(listener: () => void): void {
    this.#movedListeners.push(listener);
  }

  /**
   * Which entries still hold live records; for who gives space back and for snapshots, so "none" must be the truth: of a
   * partition that is not open here nobody knows.
   */
  liveEntries(
    groupId: number,
    first: number,
    last: number,
    limit: number,
  ): Promise<{ index: number; bytes: number }[]> {
    const partition = this.#partitions.partitions.get(groupId);
    if (partition !== undefined) return partition.index.liveEntries(first, last, limit);
    // The metadata's log holds no messages.
    if (groupId === 0) return Promise.resolve([]);
    return Promise.reject(
      new SluiceError('PARTITION_CLOSED', `partition ${groupId} is not open on this node`, { retriable: true }),
    );
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

  /**
   * Before a stop, while gateways still publish: hands every leadership to another store. True when this node leads
   * nothing any more but what nobody else has; false when the time was up before, or nobody is there to take the rest.
   */
  async handOver(timeoutMs: number): Promise<boolean> {
    this.#draining = true;
    const { clock } = this.#options;
    const startedMs = clock.monotonicMs();
    let hopefulMs = startedMs;
    for (;;) {
      const nowMs = clock.monotonicMs();
      const led = [...this.#partitions.partitions.values()].filter((one) => one.leads && !one.isAlone);
      if (led.length === 0) return true;
      const mustAgree = nowMs - startedMs < timeoutMs * Store.DRAIN_ASK_SHARE;
      for (const partition of led) if (this.#handOverOne(partition, mustAgree)) hopefulMs = nowMs;
      if (nowMs - startedMs >= timeoutMs || nowMs - hopefulMs >= Store.DRAIN_HEIRLESS_MS) return false;
      await new Promise((resolve) => setTimeout(resolve, Store.DRAIN_LOOK_MS));
    }
  }

  /** After the last gateway has left: what consumers settled or gave back is proposed. */
  async drain(): Promise<void> {
    // Channels hand their last messages over in microtasks of this turn.
    await new Promise((resolve) => setImmediate(resolve));
    for (const partition of this.#partitions.partitions.values()) partition.settles.flush();
  }

  /** Resolves when nothing of it is under way on the host. */
  async close(): Promise<void> {
    this.#draining = true;
    clearInterval(this.#timer);
    this.#sweeper.stop();
    this.#retainedSweeper.stop();
    this.#publisherSweeper.stop();
    this.figures.stop();
    this.#disk.stop();
    this.#sessions.stop();
    await this.#partitions.close();
  }

  /**
   * Who may have workers, or publish, although nobody of it came to this process yet. Who lives is known only after a while, and
   * without an image not even who there is: then it is somebody who will not answer, and the whole grace is waited.
   */
  *#gateways(): Iterable<number> {
    const { topology, clock } = this.#options;
    if (topology.epoch === 0) yield NOBODY_KNOWN;
    const isYoung = clock.monotonicMs() - this.#servesSinceMs < Store.YOUNG_MS;
    for (const { nodeId, roles, state } of topology.nodes()) {
      if (state !== 'gone' && roles.includes('gateway') && (isYoung || topology.isAlive(nodeId))) yield nodeId;
    }
  }

  /** Publishes are refused, or soon will be. */
  get isShortOfSpace(): boolean {
    return this.#disk.low || this.#options.host.diskFull;
  }

  #makePartition(groupId: number): Partition {
    const { host, storage, topology, clock, prng, logger, metrics } = this.#options;
    const failures = dropFailures(metrics);
    const events: PartitionEvents = {
      leadershipMoved: (partition) => {
        void this.#configurator.leadershipMoved(partition);
        this.#partitionMoved(partition);
      },
      serving: (partition) => {
        this.#append.serving(partition);
        this.#consume.serving(partition);
        this.#sessions.serving(partition);
      },
      moved: (partition) => this.#partitionMoved(partition),
      dispatchFailed: (group, queueId, cause) => this.#dispatchFailed(group, queueId, cause),
      dispatchRecovered: (queueId) => this.#dispatchRecovered(queueId),
      dropFailed: (reason) => failures[reason].add(),
      streamOverflowed: (count) => this.#sessionMetrics.overflowed.add(count),
      streamsMoved: (partition, effects) => this.#sessions.streamsMoved(partition, effects),
    };
    const { engine } = storage;
    const records = this.#records;
    const wills = {
      gateways: this.#sessions,
      counted: (step: WillStep, count: number) => this.#sessionMetrics.wills[step].add(count),
    };
    const expiries = this.#expiries;
    return new Partition({ groupId, host, engine, records, topology, clock, prng, logger, wills, expiries, events });
  }

  #partitionMoved(partition: Partition): void {
    this.#keeper.moved(partition.groupId);
    this.#lookSoon();
    this.#moved();
  }

  #moved(): void {
    for (const listener of this.#movedListeners) listener();
    this.#maybeReady();
  }

  #tick(): void {
    if (++this.#ticks % Store.RECONCILE_TICKS === 0) this.#partitions.reconcile();
    if (this.#configurator.isBehind) void this.#configurator.settle();
    for (const partition of this.#partitions.partitions.values()) partition.tick();
    this.#look();
    this.#maybeReady();
  }

  /** A step of a membership follows the one before at once, and once a turn. */
  #lookSoon(): void {
    if (this.#lookScheduled) return;
    this.#lookScheduled = true;
    setImmediate(() => {
      this.#lookScheduled = false;
      this.#look();
    });
  }

  #look(): void {
    if (this.#draining) return;
    if (this.isShortOfSpace) this.#balancer.relieve();
    // An image that is behind would move members and leaders back to where they were.
    if (this.#options.isImageCurrent?.() === false) return;
    this.#keeper.tick();
    this.#balancer.balance();
  }

  #wouldLead(partition: Partition): boolean {
    const { host, topology, nodeId } = this.#options;
    const state = topology.node(nodeId)?.state ?? 'active';
    if (this.#draining || this.isShortOfSpace || state !== 'active') return false;
    if (partition.isStopped || host.failure !== undefined || host.impaired().includes(partition.groupId)) return false;
    const status = host.status(partition.groupId);
    return status !== undefined && status.commit - status.applied <= Store.APPLY_LAG_ENTRIES_MAX;
  }

  /** False when nobody could take it. */
  #handOverOne(partition: Partition, mustAgree: boolean): boolean {
    const { host, topology } = this.#options;
    const { groupId } = partition;
    if (this.#handOvers.isRunning(groupId)) return true;
    const view = viewOf(host, groupId);
    if (view === undefined) return false;
    const place = topology.partition(groupId) ?? ANYWHERE;
    const heirs = heirsOf(view, place);
    // Later, whoever said no is asked no more, and must.
    const heir = this.#handOvers.best(groupId, heirs) ?? (mustAgree ? undefined : heirs[0]);
    if (heir !== undefined) void this.#handOvers.begin(partition, heir, 'drain', mustAgree);
    return heirs.length > 0;
  }

  #maybeReady(): void {
    if (this.#whenReady.length === 0 || this.unready() !== undefined) return;
    const waiting = this.#whenReady;
    this.#whenReady = [];
    for (const resolve of waiting) resolve();
  }

  /** What is damaged here is whole elsewhere: where the others can, one of them leads, and this replica is made anew. */
  #dispatchFailed(groupId: number, queueId: number, cause: Error): void {
    const { host } = this.#options;
    const view = viewOf(host, groupId);
    if (isDamage(cause) && view !== undefined && canDoWithoutSelf(view)) {
      this.#dispatchFailures.delete(queueId);
      host.markImpaired(groupId, cause);
      return;
    }
    const name = queueId === RETAINED_QUEUE_ID ? 'of retained messages' : String(queueId);
    const queue = this.#options.topology.queue(queueId)?.name ?? name;
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

function isDamage(cause: Error): boolean {
  return cause instanceof SluiceError && cause.code === 'ENTRY_LOG_DAMAGED';
}

/** No node has this number. */
const NOBODY_KNOWN = 0;

export const DEFAULT_LAG_OBJECTIVE_MS = 300_000;

/** Without an image, every member is as good as the other. */
export const DEFAULT_STREAM_LIMITS: StreamLimits = { countMax: 100_000, bytesMax: 256 * 1024 * 1024 };

const ANYWHERE = { replicas: [], preferredLeader: 0 };

export interface StoreOptions {
  nodeId: number;
  storage: NodeStorage;
  host: RaftHost;
  topology: Topology;
  /** How other stores are asked. */
  transport: Pick<Transport, 'call'>;
  clock: Clock;
  logger: Logger;
  metrics: Metrics;
  prng: Prng;
  readCacheBytesMax: number;
  /** What the whole cluster may retain. */
  retained: RetainedLimits;
  /** How old a message may become before its consumers count as too slow, unless its queue says so itself. Absent: `DEFAULT_LAG_OBJECTIVE_MS`. */
  lagObjectiveMs?: number;
  /** Undefined: a share of the disk. */
  diskReserveBytes: number | undefined;
  /** Of each stream of sessions. Undefined: `DEFAULT_STREAM_LIMITS`. */
  streamLimits?: StreamLimits;
  /** Undefined: the real disk. */
  diskSpace?: DiskSpace;
  /** False while no coordinator is followed: members and leaders then stay where they are. Absent: always true. */
  isImageCurrent?: () => boolean;
}
