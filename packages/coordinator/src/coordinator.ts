import type { Clock } from '@sluice/common/clock';
import { SluiceError } from '@sluice/common/errors';
import type { Logger } from '@sluice/common/logger';
import type { Metrics } from '@sluice/common/metrics';
import type { LevelRange } from '@sluice/meta/feature-levels';
import { encodeMetaCommand, type MetaCommand } from '@sluice/meta/meta-commands';
import { META_GROUP_ID } from '@sluice/meta/meta-group';
import { MetaMachine } from '@sluice/meta/meta-machine';
import type { MetaReply } from '@sluice/meta/meta-reply';
import { hasRole, type NodeInfo, type NodeRegistration } from '@sluice/meta/node-info';
import type { GroupListener } from '@sluice/multiraft/group-machine';
import type { RaftHost } from '@sluice/multiraft/raft-host';
import { members } from '@sluice/raft/conf-change';
import type { ClusterResponse } from '@sluice/rpc/contract/cluster';
import type { MetadataRequest, MetadataResponse } from '@sluice/rpc/contract/metadata';
import type { TopologyFeedRequest, TopologyImage, TopologyUpdate } from '@sluice/rpc/contract/topology-feed';
import type { ServiceRegistry } from '@sluice/rpc/transport';
import { countCorruption } from '@sluice/storage/entry-log/log-errors';
import { AssignmentLoop } from './assignment-loop.ts';
import { LearnerPatience } from './learner-patience.ts';
import { NodeLiveness } from './liveness/node-liveness.ts';
import { MetadataService } from './metadata-service.ts';
import { isCaughtUp, nextMetadataStep } from './metadata-voters.ts';
import { nextFeatureLevel } from './next-feature-level.ts';
import { DEFAULT_PLACEMENT_SETTINGS, PlacementLoop, type PlacementSettings } from './placement-loop.ts';
import { TopologyFeed } from './topology-feed.ts';

/**
 * The coordinator of one node: its member of the metadata group, and, while it leads that, everything that is decided
 * once for the whole cluster: the feed by which nodes learn the image, places of partitions, assignments of consumers,
 * identities of nodes. It is off the data path: while no coordinator leads, nothing of this changes, and everything else
 * goes on with the last image.
 */
export class Coordinator implements GroupListener<MetaReply, never, MetaMachine> {
  readonly #options: CoordinatorOptions;
  readonly #liveness: NodeLiveness;
  readonly #feed: TopologyFeed;
  readonly #placement: PlacementLoop;
  readonly #assignments: AssignmentLoop;
  readonly #service: MetadataService;
  readonly #learners = new LearnerPatience();
  #machine: MetaMachine | undefined;
  #leads = false;
  #formed: { resolve: () => void; reject: (cause: Error) => void } | undefined;
  readonly #defer: (task: () => void) => void;
  #stopped: Error | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Commands of the loops are under way: what they will change is not known yet. */
  #deciding = false;
  /** What others wish of nodes and is not applied yet: nothing is decided before it is seen. */
  #wishes = 0;
  #assignedMs = 0;
  /** This replica was given up in this life: it waits to be added. */
  #wiped = false;
  #mending = false;
  /** The group goes on without this replica, and it is not made anew yet. */
  #letGo = false;
  #mendAtMs = 0;

  static readonly TICK_MS = 200;
  static readonly ASSIGN_INTERVAL_MS = 500;
  static readonly MEND_INTERVAL_MS = 1_000;
  /** So long a coordinator that could take the place of one that leaves is waited for while it is away. */
  static readonly SPARE_PATIENCE_MS = 10_000;
  /** Above the time it takes to notice a dead node: it delays a change, and does not make it fail. */
  static readonly REACHED_TIMEOUT_MS = NodeLiveness.SILENCE_MS + 2_000;

  constructor(options: CoordinatorOptions) {
    this.#options = options;
    const { clock, logger } = options;
    this.#defer = options.defer ?? ((task) => void setImmediate(task));
    this.#liveness = new NodeLiveness(options.silenceMs);
    const settings = { ...DEFAULT_PLACEMENT_SETTINGS, ...options.placement };
    this.#feed = new TopologyFeed({
      clock,
      logger,
      liveness: this.#liveness,
      image: () => this.#image(),
      nodes: () => this.#nodeIds(),
      partitions: () => this.#machine?.partitions() ?? [],
      leader: () => this.leader,
      otherCoordinators: () => this.#otherCoordinators(),
      node: (nodeId) => this.#machine?.node(nodeId),
      // The coordinators hear from each other all the time.
      seemsDead: (nodeId) => !this.#options.host.peerAlive(nodeId) && this.#metadataMembers().includes(nodeId),
      assignments: () => this.#assignments.current(),
      onMoved: () => this.#decide(),
      defer: this.#defer,
    });
    this.#placement = new PlacementLoop({ liveness: this.#liveness, settings, logger });
    this.#assignments = new AssignmentLoop({ liveness: this.#liveness });
    this.#service = new MetadataService({ coordinator: this });
  }

  async open(): Promise<void> {
    this.#machine = await this.#options.host.addGroup({
      groupId: META_GROUP_ID,
      bootstrapVoters: this.#wiped ? undefined : this.#options.bootstrapVoters,
      residentRanges: [{ from: Uint8Array.of(0), to: Uint8Array.of(0xff) }],
      restore: (rows) => this.#restore(rows),
      listener: this,
    });
  }

  /** At the start, and with a snapshot: what cannot be read stops this replica, and nobody else's. */
  #restore(rows: Iterable<{ key: Uint8Array; value: Uint8Array }>): MetaMachine {
    const { levels, logger, metrics } = this.#options;
    try {
      return MetaMachine.restore(rows, levels);
    } catch (cause) {
      if (!(cause instanceof SluiceError) || cause.code !== 'META_ROW_DAMAGED') throw cause;
      countCorruption(metrics, 'metadata');
      logger.error({ err: cause }, 'the metadata of this node cannot be read');
      throw cause;
    }
  }

  serve(registry: ServiceRegistry): void {
    registry.serveChannel<TopologyFeedRequest, TopologyUpdate>('topology', (channel, from) =>
      this.#feed.accept(channel, from),
    );
    registry.serveCall<MetadataRequest, MetadataResponse>('metadata', (request) => this.#service.answer(request));
  }

  /** Begins to decide. Who drives time itself calls `tick` instead. */
  start(): void {
    this.#timer = setInterval(() => this.tick(), Coordinator.TICK_MS);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  tick(): void {
    this.#mend();
    if (!this.#leads) return;
    this.#feed.tick();
    this.#decide();
    this.#stepVoters();
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs - this.#assignedMs < Coordinator.ASSIGN_INTERVAL_MS) return;
    this.#assignedMs = nowMs;
    const { machine } = this;
    const view = { nodeIds: this.#nodeIds(), queue: (queueId: number) => machine.queue(queueId) };
    this.#feed.sendAssignments(this.#assignments.step(view, nowMs));
  }

  get machine(): MetaMachine {
    if (this.#machine === undefined)
      throw new SluiceError('NOT_READY', 'the metadata is not loaded yet', { retriable: true });
    return this.#machine;
  }

  get leads(): boolean {
    return this.#leads;
  }

  /** Node id of the leading coordinator as far as this one knows; 0 when it does not. */
  get leader(): number {
    return this.#leads ? this.#options.nodeId : this.#options.host.leaderOf(META_GROUP_ID);
  }

  /** Empty when it is not known who leads, or where. */
  get leaderAddress(): string {
    return this.#machine?.node(this.leader)?.address ?? '';
  }

  coordinators(): { nodeId: number; address: string }[] {
    return this.machine
      .nodes()
      .filter((node) => node.state !== 'gone' && hasRole(node, 'coordinator'))
      .map(({ nodeId, address }) => ({ nodeId, address }));
  }

  /** Resolves when the cluster has its identity, as far as this replica knows; rejects when it never will here. */
  formed(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#formed = { resolve, reject };
      if (this.#stopped !== undefined) reject(this.#stopped);
      this.#maybeFormed();
    });
  }

  /** Replicates a change. `not-leader`: it was not stored, ask who leads; `unknown`: nobody knows what became of it. */
  execute(command: MetaCommand): Promise<MetaReply | 'not-leader' | 'unknown'> {
    if (command.kind !== 'set-node-state') return this.#propose(command);
    this.#wishes++;
    return this.#propose(command).finally(() => {
      this.#wishes--;
    });
  }

  #propose(command: MetaCommand): Promise<MetaReply | 'not-leader' | 'unknown'> {
    return new Promise((resolve) => {
      const bytes = encodeMetaCommand(command, this.#options.clock.nowMs());
      const outcome = this.#options.host.propose(META_GROUP_ID, bytes, resolve satisfies Token);
      // Whatever refuses it has stored nothing: leadership is handed over just now, or this replica serves no more.
      if (outcome !== 'proposed') resolve('not-leader');
    });
  }

  /** Resolves when every live node acts on the epoch; false when one did not in time. */
  reached(epoch: number): Promise<boolean> {
    return this.#feed.reached(epoch, this.#options.reachedTimeoutMs ?? Coordinator.REACHED_TIMEOUT_MS);
  }

  /** Members of the metadata group, when a majority has confirmed that this node leads it. */
  async confirmedMembers(): Promise<readonly number[] | undefined> {
    const { host } = this.#options;
    if (!this.#leads || !(await host.readBarrier(META_GROUP_ID))) return undefined;
    const committed = host.status(META_GROUP_ID)?.committedMembership;
    return committed === undefined ? undefined : [...members(committed)];
  }

  /** Answers `register` of the cluster service. */
  register(node: NodeRegistration): Promise<ClusterResponse> {
    return this.#service.register(node);
  }

  applied(_index: number, reply: MetaReply, token: unknown): void {
    for (const { nodeId, state } of reply.nodes ?? []) {
      if (state !== 'gone') this.#liveness.met(nodeId, this.#options.clock.monotonicMs());
    }
    this.#feed.applied(reply);
    (token as Token | undefined)?.(reply);
    this.#maybeFormed();
    const { featureLevel } = reply;
    if (featureLevel !== undefined) {
      const { level, isHeld } = featureLevel;
      // `level` is the line's own.
      this.#options.logger.info({ featureLevel: level, isHeld }, 'the feature level of the cluster is set');
    }
    // Where partitions may live depends on who there is: the first node that registers has waited for nothing else.
    if (this.#leads && (reply.nodes?.length ?? 0) > 0) this.#defer(() => this.#decide());
  }

  dropped(token: unknown, reason: 'not-leader' | 'unknown' | 'unavailable'): void {
    (token as Token)(reason === 'not-leader' ? 'not-leader' : 'unknown');
  }

  effects(): void {}

  stopped(cause: Error): void {
    this.#stopped = cause;
    this.#leads = false;
    this.#feed.leadership(false);
    this.#formed?.reject(cause);
  }

  leadership(leads: boolean): void {
    this.#leads = leads;
    const { host } = this.#options;
    if (leads) {
      this.#learners.forget();
      this.#placement.begin();
      this.#assignments.begin(host.termOf(META_GROUP_ID));
    }
    this.#feed.leadership(leads);
    if (!leads) return;
    this.#options.onLeads?.();
    this.#decide();
  }

  leaderMoved(): void {}

  membershipMoved(): void {}

  restored(machine: MetaMachine): void {
    this.#machine = machine;
    this.#feed.forgetRecent();
    this.#maybeFormed();
  }

  #maybeFormed(): void {
    if (this.#formed === undefined || this.machine.clusterId === '') return;
    this.#formed.resolve();
    this.#formed = undefined;
  }

  /**
   * What the loop decides is carried out before it decides again. And what an operator said of a node comes first: one that
   * was told to stay would be taken for gone behind it, for good. All of it is proposed here, so that is the log's order.
   */
  #decide(): void {
    if (this.#deciding || this.#wishes > 0 || !this.#leads) return;
    const commands = this.#commands();
    if (commands.length === 0) return;
    this.#deciding = true;
    void Promise.all(commands.map((command) => this.#propose(command))).then(() => {
      this.#deciding = false;
    });
  }

  #commands(): MetaCommand[] {
    const { machine } = this;
    const { formation } = this.#options;
    if (machine.clusterId === '') {
      // Every founder that comes to lead says the same, and the first one counts.
      return formation === undefined ? [] : [{ kind: 'form-cluster', ...formation }];
    }
    const nowMs = this.#options.clock.monotonicMs();
    const nodes = machine.nodes();
    const level = nextFeatureLevel({
      featureLevel: machine.featureLevel,
      nodes,
      levelsOf: (nodeId) => this.#liveness.levels(nodeId, nowMs),
    });
    const placing = this.#placement.decide(
      {
        epoch: machine.epoch,
        layoutEpoch: machine.layoutEpoch,
        nodes,
        partitions: machine.partitions(),
        replicationFactor: machine.replicationFactor,
        metadataMembers: this.#metadataMembers(),
      },
      nowMs,
    );
    if (level === undefined) return placing;
    // First: what is placed with it would look to it as if nodes had come.
    return [{ kind: 'raise-feature-level', level, expectedEpoch: machine.epoch }, ...placing];
  }

  #stepVoters(): void {
    const { host, nodeId, clock, logger } = this.#options;
    const status = host.status(META_GROUP_ID);
    if (status === undefined || this.machine.clusterId === '' || status.transferee !== 0) return;
    const nowMs = clock.monotonicMs();
    const matchOf = (other: number) => status.progress.find(({ peer }) => peer === other)?.match ?? 0;
    this.#learners.look(status.membership.learners, matchOf, nowMs);
    const step = nextMetadataStep({
      self: nodeId,
      membership: status.membership,
      nodes: this.machine.nodes(),
      isImpaired: (other) => this.#liveness.report(other)?.impaired.includes(META_GROUP_ID) ?? false,
      isAlive: (other) => this.#liveness.isAlive(other, nowMs),
      isAwaited: (other) => this.#liveness.silentMs(other, nowMs) <= Coordinator.SPARE_PATIENCE_MS,
      isCaughtUp: (other) => host.peerAlive(other) && isCaughtUp(matchOf(other), status.commit),
      standsStill: (other) => this.#learners.isOver(other, nowMs),
    });
    if (step === undefined) return;
    if ('transferTo' in step) host.transferLeadership(META_GROUP_ID, step.transferTo);
    else if (host.proposeMembership(META_GROUP_ID, step.change) === 'proposed') {
      logger.info({ change: step.change }, 'the members of the metadata group change');
    }
  }

  /**
   * A replica that cannot be trusted is wiped once the group has let it go, and comes back without a past. Not before:
   * what it has acknowledged counts as long as it is a member. What fails on the way, as for want of a descriptor, is tried
   * again: a replica that is not there any more is not impaired, and would be missed by nobody.
   */
  #mend(): void {
    const { host, clock, nodeId, logger, askMembers } = this.#options;
    if (askMembers === undefined || this.#mending) return;
    if (!this.#letGo && host.status(META_GROUP_ID)?.impaired === undefined) return;
    const nowMs = clock.monotonicMs();
    if (nowMs < this.#mendAtMs) return;
    this.#mendAtMs = nowMs + Coordinator.MEND_INTERVAL_MS;
    this.#mending = true;
    const mending = async (): Promise<void> => {
      if (!this.#letGo) {
        const current = await askMembers();
        if (current === undefined || current.includes(nodeId)) return;
        logger.warn(
          {},
          'the replica of the metadata could not be trusted: it is made anew from the other coordinators',
        );
        this.#letGo = true;
        this.#wiped = true;
      }
      await host.removeGroup(META_GROUP_ID);
      await this.open();
      this.#letGo = false;
    };
    mending()
      .catch((cause: unknown) => logger.error({ err: cause }, 'the replica of the metadata could not be made anew'))
      .finally(() => {
        this.#mending = false;
      });
  }

  #metadataMembers(): readonly number[] {
    const membership = this.#options.host.status(META_GROUP_ID)?.membership;
    return membership === undefined ? [] : [...members(membership)];
  }

  #otherCoordinators(): readonly number[] {
    if (this.#machine === undefined) return [];
    const others = this.coordinators().flatMap(({ nodeId }) => (nodeId === this.#options.nodeId ? [] : nodeId));
    const alive = others.filter((nodeId) => this.#options.host.peerAlive(nodeId));
    return alive.length > 0 ? alive : others;
  }

  #nodeIds(): readonly number[] {
    const ids: number[] = [];
    for (const { nodeId, state } of this.machine.nodes()) if (state !== 'gone') ids.push(nodeId);
    return ids;
  }

  #image(): TopologyImage | undefined {
    const { machine } = this;
    if (machine.clusterId === '') return undefined;
    const { epoch, clusterId, partitionCount, replicationFactor, config, featureLevel } = machine;
    return {
      epoch,
      clusterId,
      partitionCount,
      replicationFactor,
      nodes: machine.nodes(),
      partitions: machine.partitions(),
      config,
      featureLevel,
      queues: [...machine.queues()],
      access: [...machine.access.rows()],
    };
  }
}

type Token = (outcome: MetaReply | 'not-leader' | 'unknown') => void;

/** What a cluster is founded with. */
export interface Formation {
  clusterId: string;
  partitionCount: number;
  replicationFactor: number;
  queueCountMax: number;
  founders: readonly NodeInfo[];
}

/** The part of the host of Raft groups that a coordinator needs. */
export type CoordinatorHost = Pick<
  RaftHost,
  | 'addGroup'
  | 'removeGroup'
  | 'readBarrier'
  | 'propose'
  | 'proposeMembership'
  | 'transferLeadership'
  | 'leaderOf'
  | 'termOf'
  | 'status'
  | 'peerAlive'
>;

export interface CoordinatorOptions {
  nodeId: number;
  host: CoordinatorHost;
  /** The founders that are coordinators; undefined on a node that joins. */
  bootstrapVoters: readonly number[] | undefined;
  /** Of a cluster that is formed now; one that exists keeps its own. Undefined on a node that joins. */
  formation: Formation | undefined;
  clock: Clock;
  logger: Logger;
  metrics: Metrics;
  /** How long a change waits for every node to act on it. */
  reachedTimeoutMs?: number;
  /** This coordinator has come to lead. */
  onLeads?: () => void;
  /** Asks whoever leads for the members of the metadata group; without it, an impaired replica stays as it is. */
  askMembers?: () => Promise<readonly number[] | undefined>;
  /** After which a node that does not report is not alive. */
  silenceMs?: number;
  placement?: Partial<PlacementSettings>;
  /** Under which feature levels this node can take part; of this build unless given. */
  levels?: LevelRange;
  /** Runs a task at the end of this turn; `setImmediate` unless given. */
  defer?: (task: () => void) => void;
}
