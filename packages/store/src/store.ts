import { SluiceError } from '@sluice/common/errors';
import type { DiskTrouble } from '@sluice/meta/cluster-liveness';
import { RETAINED_QUEUE_ID } from '@sluice/queue/machine/internal-queues';
import type { AppendRequest, AppendResponse } from '@sluice/rpc/contract/append';
import type { ConsumeRequest, ConsumeResponse } from '@sluice/rpc/contract/consume';
import type { RetainedRequest, RetainedResponse } from '@sluice/rpc/contract/retained';
import type { SessionsRequest, SessionsResponse } from '@sluice/rpc/contract/sessions';
import type { StoreAdminRequest, StoreAdminResponse } from '@sluice/rpc/contract/store-admin';
import type { ServiceRegistry } from '@sluice/rpc/transport';
import { DiskGuard } from './disk-guard.ts';
import { DispatchFailures } from './dispatch/dispatch-failures.ts';
import { PumpTurn } from './dispatch/pump-turn.ts';
import { dropFailures } from './metrics/drop-failures.ts';
import { QueueGatherer } from './metrics/queue-gatherer.ts';
import { collectReplicaMetrics } from './metrics/replica-metrics.ts';
import { collectTimeMetrics } from './metrics/time-metrics.ts';
import { Partition, type PartitionEvents } from './partition/partition.ts';
import { QueueConfigurator } from './partition/queue-configurator.ts';
import { HandOvers } from './placement/hand-overs.ts';
import { LeaderBalancer } from './placement/leader-balancer.ts';
import { LeadershipDrain } from './placement/leadership-drain.ts';
import { MembershipKeeper } from './placement/membership-keeper.ts';
import { PartitionSet } from './placement/partition-set.ts';
import { RecordReader } from './read/record-reader.ts';
import { Turnstile } from './read/turnstile.ts';
import { collectRetainedMetrics } from './retained/retained-metrics.ts';
import { RetainedSweeper } from './retained/retained-sweeper.ts';
import { AdminService } from './service/admin-service.ts';
import { AppendService } from './service/append-service.ts';
import { ConsumeService } from './service/consume-service.ts';
import { DeliveryBound } from './service/delivery-bound.ts';
import { RetainedService } from './service/retained-service.ts';
import { SessionService } from './service/session-service.ts';
import type { WillStep } from './session/partition-wills.ts';
import { SessionMetrics } from './session/session-metrics.ts';
import { DEFAULT_LAG_OBJECTIVE_MS, DEFAULT_STREAM_LIMITS, type StoreOptions } from './store-options.ts';
import { StoreReadiness } from './store-readiness.ts';
import { type StoreNodeReport, StoreReport } from './store-report.ts';
import { PublisherSweeper } from './sweep/publisher-sweeper.ts';
import { RetentionSweeper } from './sweep/retention-sweeper.ts';

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
  readonly #pumpTurn: PumpTurn;
  readonly #handOvers: HandOvers;
  readonly #keeper: MembershipKeeper;
  readonly #balancer: LeaderBalancer;
  readonly #leadershipDrain: LeadershipDrain;
  readonly #readiness: StoreReadiness;
  readonly #failures: DispatchFailures;
  readonly #report: StoreReport;
  readonly #movedListeners: (() => void)[] = [];
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
  /** Applied so far behind the log, a follower would serve only after a while. */
  static readonly APPLY_LAG_ENTRIES_MAX = 1024;

  constructor(options: StoreOptions) {
    this.#options = options;
    this.#pumpTurn = new PumpTurn(options.clock);
    const { host, storage, metrics, topology } = options;
    const { directory, engine, entryLog } = storage;
    this.#records = new RecordReader({ entryLog, bytesMax: options.readCacheBytesMax, metrics });
    this.#disk = new DiskGuard({
      ...options,
      directory,
      reserveBytes: options.diskReserveBytes,
      space: options.diskSpace,
    });
    this.#partitions = new PartitionSet({
      ...options,
      make: (groupId) => this.#makePartition(groupId),
      onMoved: () => this.#moved(),
    });
    const { partitions } = this.#partitions;
    // What a part takes of these its options say.
    const parts = { ...options, engine, partitions, records: this.#records, disk: this.#disk };
    this.#readiness = new StoreReadiness({ ...parts, partitions: this.#partitions });
    this.#report = new StoreReport(host, partitions, this.#disk);

    this.#configurator = new QueueConfigurator(parts);
    this.#sweeper = new RetentionSweeper(parts);
    this.#retainedSweeper = new RetainedSweeper(parts);
    this.#publisherSweeper = new PublisherSweeper(parts);
    this.#failures = new DispatchFailures(parts);

    const gateways = (): Iterable<number> => this.#gateways();
    const { streamLimits: limits = DEFAULT_STREAM_LIMITS, lagObjectiveMs: objectiveMs = DEFAULT_LAG_OBJECTIVE_MS } =
      options;
    const queueIdMax = (): number => this.#configurator.queueIdMax;
    const isGone = (queueId: number): boolean => topology.queue(queueId) === undefined && queueId <= queueIdMax();
    this.#append = new AppendService({ ...parts, queueIdMax });
    const bound = new DeliveryBound(options);
    this.#consume = new ConsumeService(partitions, gateways, { ...parts, bound, isGone });
    this.#sessions = new SessionService({ ...parts, gateways, limits, bound });
    this.#retained = new RetainedService({
      ...parts,
      events: {
        failed: (groupId, cause) => this.#failures.failed(groupId, RETAINED_QUEUE_ID, cause),
        recovered: (groupId) => this.#failures.recovered(groupId, RETAINED_QUEUE_ID),
      },
    });
    this.figures = new QueueGatherer({ ...parts, objectiveMs });
    this.admin = new AdminService({
      ...parts,
      wouldLead: (partition) => this.#wouldLead(partition),
      paceOf: (queue) => this.figures.paceOf(queue),
    });
    this.#sessionMetrics = new SessionMetrics(metrics, partitions);
    collectRetainedMetrics(metrics, partitions);
    collectReplicaMetrics(metrics, { host, partitions, topology });
    collectTimeMetrics(metrics, parts);

    this.#handOvers = new HandOvers(options);
    const leading = { ...parts, handOvers: this.#handOvers };
    this.#keeper = new MembershipKeeper(leading);
    this.#balancer = new LeaderBalancer({ ...leading, keeper: this.#keeper });
    this.#leadershipDrain = new LeadershipDrain(leading);
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
    return this.#readiness.reached();
  }

  /** What `ready` waits for, for people; undefined when it is so. */
  unready(): string | undefined {
    return this.#readiness.missing();
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
    this.#consume.queuesRemoved(queueIds?.filter((queueId) => topology.queue(queueId) === undefined));
    this.#partitions.reconcile();
    this.#lookSoon();
    this.#readiness.look();
  }

  /** What the coordinator wants to know of this store every second. */
  report(): StoreNodeReport {
    return this.#report.now();
  }

  /** Undefined while its disk does what it should. */
  get diskTrouble(): DiskTrouble | undefined {
    return this.#report.disk;
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

  /** Of the partition, as far as this replica has applied it; undefined where there is none here. */
  timeOf(groupId: number): number | undefined {
    return this.#partitions.partitions.get(groupId)?.queues.nowMs;
  }

  /** Something filled the disk to its end. */
  diskFull(): void {
    void this.#disk.giveUpBallast();
  }

  /** Publishes are refused, or soon will be. */
  get isShortOfSpace(): boolean {
    return this.#disk.low || this.#options.host.diskFull;
  }

  /** Why this store cannot do all it should; empty while it can. */
  problems(): string[] {
    const disk = this.#disk.low ? ['the disk is almost full: publishes into queues are refused'] : [];
    return [...disk, ...this.#failures.problems()];
  }

  /**
   * Before a stop, while gateways still publish: hands every leadership to another store. True when this node leads
   * nothing any more but what nobody else has; false when the time was up before, or nobody is there to take the rest.
   */
  handOver(timeoutMs: number): Promise<boolean> {
    this.#draining = true;
    return this.#leadershipDrain.run(timeoutMs);
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

  #makePartition(groupId: number): Partition {
    const { host, storage, topology, clock, prng, logger, metrics, isTimeKnown } = this.#options;
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
      dispatchFailed: (group, queueId, cause) => this.#failures.failed(group, queueId, cause),
      dispatchRecovered: (group, queueId) => this.#failures.recovered(group, queueId),
      recordsTooLarge: (partition, queueId, count) => {
        const queue = topology.queue(queueId)?.name ?? String(queueId);
        logger.warn({ partition, queue, count }, TOO_LARGE);
      },
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
    const [expiries, turn] = [this.#expiries, this.#pumpTurn];
    const ports = { host, engine, turn, topology, clock, prng, logger, isTimeKnown };
    return new Partition({ ...ports, groupId, records, wills, expiries, events });
  }

  #partitionMoved(partition: Partition): void {
    this.#keeper.moved(partition.groupId);
    this.#lookSoon();
    this.#moved();
  }

  #moved(): void {
    for (const listener of this.#movedListeners) listener();
    this.#readiness.look();
  }

  #tick(): void {
    if (++this.#ticks % Store.RECONCILE_TICKS === 0) this.#partitions.reconcile();
    if (this.#configurator.isBehind) void this.#configurator.settle();
    for (const partition of this.#partitions.partitions.values()) partition.tick();
    this.#look();
    this.#readiness.look();
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
    if (partition.isStopped || host.impaired().includes(partition.groupId)) return false;
    const status = host.status(partition.groupId);
    return status !== undefined && status.commit - status.applied <= Store.APPLY_LAG_ENTRIES_MAX;
  }
}

const TOO_LARGE =
  'messages wait that are larger than any attached worker takes (its Maximum Packet Size): one that takes more gets them at once';

/** No node has this number. */
const NOBODY_KNOWN = 0;
