import type { Clock } from '@sluice/common/clock';
import { SluiceError } from '@sluice/common/errors';
import type { Logger } from '@sluice/common/logger';
import type { Counter, Metrics } from '@sluice/common/metrics';
import type { Prng } from '@sluice/common/prng';
import { encodeMembership, type MembershipChange, members } from '@sluice/raft/conf-change';
import { EntryKind, type Membership } from '@sluice/raft/entry';
import type { LogReader } from '@sluice/raft/log-reader';
import type { Message } from '@sluice/raft/message';
import { RaftGroup, type Refusal } from '@sluice/raft/raft';
import type { Status } from '@sluice/raft/status';
import type { RaftFrame } from '@sluice/rpc/contract/raft';
import type { SnapshotAnswer, SnapshotChunk } from '@sluice/rpc/contract/raft-snapshot';
import type { ServiceRegistry, Transport } from '@sluice/rpc/transport';
import { ApplyLoop } from './apply-loop.ts';
import { isAlone, readResidentRows, readStoredGroup, type StoredGroup } from './group-loader.ts';
import type { GroupListener, GroupMachine } from './group-machine.ts';
import { ImageCheck } from './image-check.ts';
import { ImageKeeper } from './image-keeper.ts';
import type { NodeStorage } from './node-storage.ts';
import { PeerLinks } from './peer-links.ts';
import { PeerWatch } from './peer-watch.ts';
import { type KeyRange, Replica, type ResidentRow } from './replica.ts';
import { hardStateWith, wipeReplica } from './replica-wipe.ts';
import { SegmentReclaimer } from './segment-reclaimer.ts';
import type { SnapshotHost, SnapshotPort } from './snapshot-port.ts';
import { noteImpaired } from './snapshot-recovery.ts';
import { StoreLoop } from './store-loop.ts';

const TICK_MS = 100;
const ELECTION_TICKS = 10;

/**
 * Runs all Raft groups of one node on one disk: the store's partitions and the coordinator's metadata alike. Roles
 * register a machine and a listener a group and propose commands; everything between a proposal and its answer is here,
 * also what lies on other nodes. A group of which this node is the only member costs neither ticks nor links.
 */
export class RaftHost {
  readonly #storage: NodeStorage;
  readonly #options: RaftHostOptions;
  readonly #replicas = new Map<number, Replica>();
  readonly #storeLoop: StoreLoop;
  readonly #applyLoop: ApplyLoop;
  readonly #links: PeerLinks;
  readonly #watch: PeerWatch;
  readonly #snapshots: SnapshotPort;
  readonly #imageKeeper: ImageKeeper;
  readonly #imageCheck: ImageCheck;
  readonly #reclaimer: SegmentReclaimer;
  readonly #strangers: Counter;
  /** As the storage found them; who was wiped since is none. */
  readonly #impairedAtStart: Map<number, Error>;
  #timer: NodeJS.Timeout | undefined;
  #lastTickMs: number;
  #failed: Error | undefined;
  readonly #failureListeners: ((cause: Error) => void)[] = [];
  #started = false;
  #closing = false;

  /** One Raft tick. Ten of them make an election timeout, so a silent leader is replaced within one to two seconds. */
  static readonly TICK_MS = TICK_MS;
  static readonly ELECTION_TICKS = ELECTION_TICKS;
  /** A node that is silent, or was paused, for that long has missed an election. */
  static readonly ELECTION_MS = TICK_MS * ELECTION_TICKS;
  /** Of one group; what is proposed beyond it is refused as busy. Above the publish buffer of a gateway. */
  static readonly UNCOMMITTED_BYTES_MAX = 128 * 1024 * 1024;
  /** Of one group to one follower, so that sixteen groups fill neither this node's memory nor the follower's. */
  static readonly INFLIGHT_BYTES_MAX = 8 * 1024 * 1024;
  static readonly INFLIGHT_APPENDS_MAX = 64;
  static readonly APPEND_BYTES_MAX = 1024 * 1024;
  /** A group whose log did not grow for that long goes to sleep. */
  static readonly QUIESCE_TICKS = 30;
  /** Proposals whose leadership ended wait that long for the next leader's log to tell their fate. */
  static readonly FATE_TICKS = 10;

  constructor(storage: NodeStorage, options: RaftHostOptions) {
    this.#storage = storage;
    this.#options = options;
    this.#impairedAtStart = new Map(storage.impaired);
    const { clock, logger, metrics, transport, nodeId, liveEntries } = options;
    const { entryLog } = storage;
    const replicas = this.#replicas;
    const fail = (cause: Error): void => this.#fail(cause);
    this.#lastTickMs = clock.monotonicMs();
    this.#strangers = metrics.counter('sluice_raft_strangers_total', 'Messages whose sender was not who it said');
    this.#applyLoop = new ApplyLoop({
      engine: storage.engine,
      entryLog,
      logger,
      metrics,
      clock,
      logMark: () => entryLog.mark(),
      wake: (replica) => this.#storeLoop.wake(replica),
      onFailed: fail,
      onStopped: (replica, cause) => this.#stopped(replica, cause),
    });
    this.#imageKeeper = new ImageKeeper({ storage, applyLoop: this.#applyLoop, logger });
    this.#watch = new PeerWatch({ nodeId, prng: options.prng, replicas, settle: (replica) => this.#settle(replica) });
    this.#links = new PeerLinks({
      transport,
      entryLog,
      clock,
      logger,
      metrics,
      silenceMs: RaftHost.ELECTION_MS,
      onBroken: (peer) => this.#watch.broken(peer),
      onLost: (peer) => this.#watch.lost(peer),
      onFound: (peer) => this.#watch.found(peer),
    });
    this.#snapshots = options.snapshots({
      nodeId,
      storage,
      transport,
      logger,
      metrics,
      applyLoop: this.#applyLoop,
      imageKeeper: this.#imageKeeper,
      replica: (groupId) => replicas.get(groupId),
      step: (replica, message) => this.#step(replica, message),
      wake: (replica) => this.#settle(replica),
      markImpaired: (groupId, cause) => this.markImpaired(groupId, cause),
      liveEntries,
    });
    this.#storeLoop = new StoreLoop({
      entryLog,
      applyLoop: this.#applyLoop,
      peers: this.#links,
      snapshots: this.#snapshots,
      impair: (replica, cause) => this.#impair(replica, cause),
      clock,
      logger,
      metrics,
      onFenced: fail,
    });
    this.#imageCheck = new ImageCheck({
      storage,
      imageKeeper: this.#imageKeeper,
      replicas,
      logger,
      metrics,
      delayMs: options.imageCheckDelayMs ?? ImageCheck.DELAY_MS,
    });
    this.#reclaimer = new SegmentReclaimer({
      storage,
      imageKeeper: this.#imageKeeper,
      replicas,
      logger,
      metrics,
      liveEntries,
    });
    metrics.collect('sluice_raft_groups', 'Raft groups on this node by role', 'gauge', () => this.#groupsByRole());
    metrics.collect('sluice_raft_quiesced_groups', 'Raft groups that sleep because nothing happens', 'gauge', () => [
      [{}, [...replicas.values()].filter(({ raft }) => raft.quiesced).length],
    ]);
    metrics.collect('sluice_raft_fenced', '1 when a failed write stopped this node', 'gauge', () => [
      [{}, this.#failed === undefined ? 0 : 1],
    ]);
  }

  /**
   * Adds a group with its state as of the last applied batch; its log is replayed from there once this node has started.
   * A group that has never been here begins with `bootstrapVoters`, the same on each of them; without, it waits to be
   * added by its leader.
   */
  async addGroup<Machine extends GroupMachine<Reply, Effect>, Reply, Effect>(group: {
    groupId: number;
    bootstrapVoters: readonly number[] | undefined;
    /** Resident rows: ranges of the machine's own keys to hand to `restore`. */
    residentRanges: readonly KeyRange[];
    restore(rows: Iterable<ResidentRow>): Machine;
    listener: GroupListener<Reply, Effect, Machine>;
  }): Promise<Machine> {
    const { groupId, bootstrapVoters, residentRanges } = group;
    if (this.#replicas.has(groupId)) throw new SluiceError('GROUP_INVALID', `group ${groupId} is here already`);
    const damage = this.#impairedAtStart.get(groupId);
    let stored = await readStoredGroup(this.#storage, groupId);
    if (stored.blank && stored.promise === undefined && bootstrapVoters !== undefined && damage === undefined) {
      await this.#bootstrap(groupId, bootstrapVoters);
      stored = await readStoredGroup(this.#storage, groupId);
    }
    const rows = await readResidentRows(this.#storage, groupId, damage === undefined ? residentRanges : []);
    const machine = group.restore(rows);
    const impaired = damage ?? this.#unreadable(groupId, stored);
    const replica = new Replica({
      groupId,
      raft: impaired === undefined ? this.#raftOf(groupId, stored) : this.#muteRaft(),
      machine: machine as unknown as GroupMachine<unknown, unknown>,
      restore: group.restore as unknown as Replica['restore'],
      residentRanges,
      listener: group.listener as unknown as Replica['listener'],
      appliedIndex: stored.applied.index,
      appliedTerm: stored.applied.term,
      membership: stored.base.membership,
      membershipIndex: stored.base.index,
    });
    replica.promise = stored.promise;
    this.#replicas.set(groupId, replica);
    if (impaired !== undefined) this.#impair(replica, impaired);
    else if (this.#started) this.#begin(replica);
    return machine;
  }

  /** Takes a group off this node: log, rows and images are gone when it resolves. */
  async removeGroup(groupId: number): Promise<void> {
    const replica = this.#replicas.get(groupId);
    if (replica !== undefined) {
      replica.removed = true;
      this.#replicas.delete(groupId);
      this.#applyLoop.giveUp(replica, 'unavailable');
      replica.reads.failAll();
      replica.recent.clear();
    }
    await this.#snapshots.abandon(groupId);
    // Neither a turn nor a batch that still knows it is under way after these.
    await this.#storeLoop.nextTurn();
    await this.#applyLoop.betweenBatches(() => {});
    await this.#imageKeeper.settled();
    await wipeReplica(this.#storage, groupId);
    this.#impairedAtStart.delete(groupId);
    this.#applyLoop.forgetGroup(groupId);
  }

  /** Groups the entry log knows. */
  storedGroups(): Iterable<number> {
    return [...this.#storage.entryLog.groups.keys()];
  }

  /** What other nodes ask of this one. */
  serve(registry: ServiceRegistry): void {
    registry.serveChannel<RaftFrame, never>('raft', (channel, from) => {
      channel.onMessage((frame) => this.#hear(frame, from));
    });
    registry.serveChannel<RaftFrame, never>('raft-control', (channel, from) => {
      channel.onMessage((frame) => this.#hear(frame, from));
      // Its former channel broke, or it has just started: groups that sleep must tell it who leads.
      this.#links.opened(from);
      this.#watch.found(from);
    });
    registry.serveChannel<SnapshotChunk, SnapshotAnswer>('raft-snapshot', (channel, from) =>
      this.#snapshots.accept(channel, from),
    );
  }

  /** Begins to tick. A group whose only voter is this node leads at once, in the first turn. */
  start(): void {
    this.#started = true;
    this.#lastTickMs = this.#options.clock.monotonicMs();
    for (const replica of this.#replicas.values()) this.#begin(replica);
    this.#timer = setInterval(() => this.#tick(), RaftHost.TICK_MS);
    this.#reclaimer.start();
    this.#imageCheck.start();
  }

  /**
   * Hands a command to the group's leader, if that is here. The outcome comes to the listener with `token`; a refusal
   * comes back at once and stored nothing.
   */
  propose(groupId: number, command: Uint8Array, token: unknown): 'proposed' | 'not-leader' | 'busy' | 'unavailable' {
    const replica = this.#replicas.get(groupId);
    if (replica === undefined) return 'not-leader';
    if (this.#isUnavailable(replica)) return 'unavailable';
    const outcome = replica.raft.propose([command]);
    if ('refused' in outcome) return outcome.refused === 'not-leader' ? 'not-leader' : 'busy';
    if (token !== undefined) replica.pending.add(outcome.firstIndex, outcome.term, token);
    this.#storeLoop.wake(replica);
    return 'proposed';
  }

  /** In force at once, committed when `membershipMoved` says so; a change of voters goes through its joint half by itself. */
  proposeMembership(groupId: number, change: MembershipChange): 'proposed' | Refusal | 'unavailable' {
    const replica = this.#replicas.get(groupId);
    if (replica === undefined) return 'not-leader';
    if (this.#isUnavailable(replica)) return 'unavailable';
    const outcome = replica.raft.proposeMembership(change);
    if ('refused' in outcome) return outcome.refused;
    this.#storeLoop.wake(replica);
    return 'proposed';
  }

  /** False when this node does not lead or `to` is no other voter. Proposals are refused as busy until it is done. */
  transferLeadership(groupId: number, to: number): boolean {
    const replica = this.#replicas.get(groupId);
    if (replica === undefined || this.#isUnavailable(replica)) return false;
    const accepted = replica.raft.transferLeadership(to);
    if (accepted) this.#storeLoop.wake(replica);
    return accepted;
  }

  /** True: this node led the group at a moment after the call, and has applied everything that was committed by then. */
  readBarrier(groupId: number): Promise<boolean> {
    const replica = this.#replicas.get(groupId);
    if (replica === undefined || this.#isUnavailable(replica)) return Promise.resolve(false);
    const { context, outcome } = replica.reads.begin();
    if (!replica.raft.requestRead(context)) replica.reads.refuse(context);
    this.#settle(replica);
    return outcome;
  }

  /** Leads, has applied everything acknowledged before, and was not paused long enough to have been replaced unawares. */
  leads(groupId: number): boolean {
    const replica = this.#replicas.get(groupId);
    if (replica === undefined || !replica.leads || this.#failed !== undefined) return false;
    if (replica.isAlone(this.#options.nodeId)) return true;
    return !replica.unconfirmed && this.#options.clock.monotonicMs() - this.#lastTickMs <= RaftHost.ELECTION_MS;
  }

  /** 0 while unknown. */
  leaderOf(groupId: number): number {
    return this.#replicas.get(groupId)?.raft.leader ?? 0;
  }

  termOf(groupId: number): number {
    return this.#replicas.get(groupId)?.raft.term ?? 0;
  }

  status(groupId: number): GroupStatus | undefined {
    const replica = this.#replicas.get(groupId);
    if (replica === undefined) return undefined;
    const { impaired, membership, membershipIndex } = replica;
    return {
      ...replica.raft.status(),
      impaired,
      committedMembership: membership,
      committedMembershipIndex: membershipIndex,
    };
  }

  /** That node was heard from within an election timeout, and its connection stands. */
  peerAlive(nodeId: number): boolean {
    return nodeId === this.#options.nodeId || this.#links.peerAlive(nodeId);
  }

  /** Replicas that cannot be trusted: they vote for nobody, lead nothing, and wait to be exchanged. */
  impaired(): number[] {
    const groups: number[] = [];
    for (const replica of this.#replicas.values()) if (replica.impaired !== undefined) groups.push(replica.groupId);
    return groups;
  }

  markImpaired(groupId: number, cause: Error): void {
    const replica = this.#replicas.get(groupId);
    if (replica !== undefined) this.#impair(replica, cause);
  }

  /** A row of a group's machine that was written lately; undefined says nothing about the row: ask the engine. */
  recentRow(groupId: number, key: Uint8Array): Uint8Array | undefined {
    return this.#applyLoop.recentRow(groupId, key);
  }

  /** Resolves when the rows of everything applied by now are in the engine: a proposal is answered a moment earlier. */
  written(): Promise<void> {
    return this.#applyLoop.betweenBatches(() => {});
  }

  /** An entry of a group died: a hint that space may be given back. */
  noteDeadBytes(bytes: number): void {
    this.#reclaimer.noteDeadBytes(bytes);
  }

  /** Why this node answers nothing more; undefined while it works. */
  get failure(): Error | undefined {
    return this.#failed;
  }

  /** Rejects with the cause when this node fails; never resolves. */
  failing(): Promise<never> {
    return new Promise((_, reject) => {
      if (this.#failed !== undefined) reject(this.#failed);
      else this.#failureListeners.push(reject);
    });
  }

  /** True while a write waits for space on the disk. */
  get diskFull(): boolean {
    return this.#storeLoop.full || this.#applyLoop.full;
  }

  /** Groups that stopped because an entry could not be applied. */
  stoppedGroups(): { groupId: number; cause: Error }[] {
    const stopped: { groupId: number; cause: Error }[] = [];
    for (const replica of this.#replicas.values()) {
      if (replica.stopped !== undefined) stopped.push({ groupId: replica.groupId, cause: replica.stopped });
    }
    return stopped;
  }

  /** Finishes the turn in flight; the derived state is synced, so that the next start has nothing to replay. */
  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    clearInterval(this.#timer);
    this.#watch.close();
    this.#applyLoop.stopWaiting();
    await this.#imageCheck.stop();
    await this.#reclaimer.stop();
    await this.#snapshots.abandon(undefined);
    await this.#storeLoop.idle();
    await this.#applyLoop.idle();
    this.#links.close();
    for (const replica of this.#replicas.values()) {
      this.#applyLoop.giveUp(replica, 'unavailable');
      replica.reads.failAll();
    }
    if (this.#failed === undefined) await this.#syncState();
    await this.#storage.close();
  }

  async #syncState(): Promise<void> {
    try {
      await this.#storage.engine.write([], { sync: true });
    } catch (cause) {
      if (!(cause instanceof SluiceError) || cause.code !== 'STATE_FULL') throw cause;
      this.#options.logger.warn({ err: cause }, 'the derived state is not synced; the next start replays more');
    }
  }

  /** The same entry on every founder, as if it had been committed: nobody has to be asked who may vote on it. */
  #bootstrap(groupId: number, voters: readonly number[]): Promise<void> {
    const membership: Membership = {
      voters: [...voters].sort((a, b) => a - b),
      votersOutgoing: [],
      learners: [],
      learnersNext: [],
    };
    const entry = { term: 1, index: 1, kind: EntryKind.MEMBERSHIP, data: encodeMembership(membership) };
    return this.#storeLoop.write({ groupId, hardState: { term: 1, vote: 0, commit: 1 }, entries: [entry] });
  }

  /** Alone, a group goes on to the damage and stops there; among others it must not vote on what it may have forgotten. */
  #unreadable(groupId: number, stored: StoredGroup): Error | undefined {
    const alone = isAlone(stored, this.#options.nodeId);
    if (stored.damage !== undefined) return alone ? undefined : stored.damage;
    const lastIndex = this.#storage.entryLog.groups.get(groupId)?.lastIndex ?? 0;
    if (stored.applied.index <= lastIndex || alone) return undefined;
    return new SluiceError(
      'RAFT_LOG_INCONSISTENT',
      `group ${groupId}: the log ends at index ${lastIndex}, entries up to ${stored.applied.index} were applied`,
      { hint: 'this replica lost a part of its log; it is made anew from its peers' },
    );
  }

  #raftOf(groupId: number, stored: StoredGroup): RaftGroup {
    const { entryLog } = this.#storage;
    const recovered = entryLog.groups.get(groupId);
    const firstIndex = recovered?.firstIndex ?? 1;
    const reader: LogReader = {
      firstIndex: () => entryLog.firstIndex(groupId),
      lastIndex: () => entryLog.lastIndex(groupId),
      term: (index) => entryLog.term(groupId, index),
      sizeBytes: (index) => entryLog.sizeBytes(groupId, index),
    };
    return new RaftGroup(this.#raftConfig(), reader, {
      hardState: hardStateWith(stored.promise, recovered?.hardState),
      membership: stored.base.membership,
      membershipEntries: stored.later,
      snapshot: { index: firstIndex - 1, term: entryLog.term(groupId, firstIndex - 1) ?? 0 },
      appliedIndex: stored.applied.index,
    });
  }

  /** Of an impaired replica: it is told nothing, so it says nothing. */
  #muteRaft(): RaftGroup {
    const nothing: LogReader = { firstIndex: () => 1, lastIndex: () => 0, term: () => undefined, sizeBytes: () => 0 };
    return new RaftGroup(this.#raftConfig(), nothing, {
      hardState: { term: 0, vote: 0, commit: 0 },
      membership: { voters: [], votersOutgoing: [], learners: [], learnersNext: [] },
      snapshot: { index: 0, term: 0 },
      appliedIndex: 0,
    });
  }

  #raftConfig(): ConstructorParameters<typeof RaftGroup>[0] {
    return {
      peerId: this.#options.nodeId,
      prng: this.#options.prng,
      electionTicks: RaftHost.ELECTION_TICKS,
      appendBytesMax: RaftHost.APPEND_BYTES_MAX,
      inflightAppendsMax: RaftHost.INFLIGHT_APPENDS_MAX,
      inflightBytesMax: RaftHost.INFLIGHT_BYTES_MAX,
      uncommittedBytesMax: RaftHost.UNCOMMITTED_BYTES_MAX,
    };
  }

  #begin(replica: Replica): void {
    if (replica.impaired !== undefined) return;
    if (replica.isAlone(this.#options.nodeId)) replica.raft.campaign();
    else replica.raft.hurry();
    this.#storeLoop.wake(replica);
  }

  #isUnavailable(replica: Replica): boolean {
    const { stopped, impaired } = replica;
    return this.#failed !== undefined || this.#closing || stopped !== undefined || impaired !== undefined;
  }

  /** Something was done to a core: its Ready goes into the next turn, and whoever must know hears who leads. */
  #settle(replica: Replica): void {
    if (replica.removed) return;
    if (replica.raft.hasReady()) this.#storeLoop.wake(replica);
    else this.#applyLoop.leadershipMayHaveMoved(replica);
  }

  #hear(frame: RaftFrame, from: number): void {
    if (this.#failed !== undefined || this.#closing) return;
    this.#links.heard(from, this.#options.clock.monotonicMs());
    for (const { groupId, message } of frame.messages) {
      const replica = this.#replicas.get(groupId);
      // A snapshot comes on a channel of its own; the message alone would promise what is not here.
      if (message.from !== from || message.type === 'snapshot') this.#strangers.add();
      else if (replica !== undefined) this.#step(replica, message);
    }
    for (const { groupId, notice } of frame.quiesced) {
      const replica = this.#replicas.get(groupId);
      if (replica === undefined || replica.impaired !== undefined) continue;
      if (notice.leader !== from) this.#strangers.add();
      else if (replica.raft.followQuiesce(notice)) this.#settle(replica);
    }
  }

  #step(replica: Replica, message: Message): void {
    if (replica.removed || replica.impaired !== undefined) return;
    const { type } = message;
    if ((type === 'vote' || type === 'pre-vote' || type === 'timeout-now') && !replica.mayVote()) return;
    try {
      replica.raft.step(message);
    } catch (cause) {
      if (!(cause instanceof SluiceError) || cause.code !== 'BYTES_MALFORMED') this.#impair(replica, cause as Error);
      this.#options.logger.error(
        { err: cause, group: replica.groupId, from: message.from },
        'a message cannot be right',
      );
      return;
    }
    this.#settle(replica);
  }

  #tick(): void {
    this.#storeLoop.retry();
    this.#applyLoop.retry();
    if (this.#failed !== undefined) return;
    this.#snapshots.tick();
    const nowMs = this.#options.clock.monotonicMs();
    const paused = nowMs - this.#lastTickMs > RaftHost.ELECTION_MS;
    this.#lastTickMs = nowMs;
    const peers = new Set<number>();
    for (const replica of this.#replicas.values()) {
      const { raft } = replica;
      const alone = replica.isAlone(this.#options.nodeId);
      // A sole voter has nobody to hear from: it was elected in the first turn and its ticks would only cost.
      if ((alone && raft.role === 'leader') || replica.impaired !== undefined) continue;
      if (!alone) for (const peer of members(raft.membership)) peers.add(peer);
      if (replica.stopped !== undefined && !alone) continue;
      if (paused && replica.leads) replica.unconfirmed = true;
      if (replica.unconfirmed) this.#confirm(replica);
      if (raft.role !== 'leader') {
        this.#waitForFate(replica);
        if (!replica.mayVote()) continue;
      } else if (this.#maybeQuiesce(replica)) continue;
      raft.tick();
      this.#settle(replica);
    }
    peers.delete(this.#options.nodeId);
    this.#links.tick(peers);
    this.#links.flush();
    this.#storeLoop.relieve();
  }

  /** The process did not run for a while. Whoever led before may not lead any more, and must not act as if. */
  #confirm(replica: Replica): void {
    if (replica.confirming || !replica.leads) return;
    replica.confirming = true;
    void this.readBarrier(replica.groupId).then((led) => {
      replica.confirming = false;
      if (led) replica.unconfirmed = false;
    });
  }

  /** What was proposed under a leadership that ended is answered when the log tells, or after a while without. */
  #waitForFate(replica: Replica): void {
    if (replica.pending.size === 0) replica.fateTicks = 0;
    else if (++replica.fateTicks > RaftHost.FATE_TICKS) this.#applyLoop.giveUp(replica, 'unknown');
  }

  /** Before its tick, which would make it busy. */
  #maybeQuiesce(replica: Replica): boolean {
    const { raft, groupId } = replica;
    if (raft.quiesced) return true;
    if (raft.lastIndex !== replica.idleIndex) replica.idleTicks = 0;
    replica.idleIndex = raft.lastIndex;
    if (++replica.idleTicks < RaftHost.QUIESCE_TICKS) return false;
    const { nodeId } = this.#options;
    const peers = [...members(raft.membership)].filter((peer) => peer !== nodeId);
    if (!peers.every((peer) => this.#links.peerAlive(peer))) return false;
    const notice = raft.quiesce();
    if (notice === undefined) return false;
    replica.idleTicks = 0;
    for (const peer of peers) this.#links.sendQuiesced(peer, groupId, notice);
    return true;
  }

  /** A group that cannot apply leads nothing while others could; a damaged log is one that must be exchanged. */
  #stopped(replica: Replica, cause: Error): void {
    if (replica.isAlone(this.#options.nodeId)) return;
    if (cause instanceof SluiceError && cause.code === 'ENTRY_LOG_DAMAGED') this.#impair(replica, cause);
    else replica.raft.stepDown();
    this.#settle(replica);
  }

  #impair(replica: Replica, cause: Error): void {
    if (replica.impaired !== undefined || replica.removed) return;
    replica.raft.stepDown();
    // Its last words, that somebody else should lead, must still leave.
    this.#settle(replica);
    replica.impaired = cause;
    replica.recent.clear();
    this.#applyLoop.giveUp(replica, 'unavailable');
    this.#applyLoop.leadershipMayHaveMoved(replica);
    noteImpaired(this.#storage, replica.groupId, cause).catch((err: unknown) =>
      this.#options.logger.error({ err, group: replica.groupId }, 'an impaired replica could not be noted as such'),
    );
    this.#options.logger.error(
      { err: cause, group: replica.groupId },
      'a replica cannot be trusted: it takes no part in its group until it is made anew',
    );
  }

  #fail(cause: Error): void {
    if (this.#failed !== undefined) return;
    this.#failed = cause;
    // The others must not wait for a node that answers nothing more.
    this.#links.close();
    this.#watch.close();
    for (const listener of this.#failureListeners) listener(cause);
    for (const replica of this.#replicas.values()) {
      this.#applyLoop.giveUp(replica, 'unavailable');
      replica.reads.failAll();
    }
  }

  *#groupsByRole(): Iterable<[Record<string, string>, number]> {
    const byRole = new Map<string, number>([
      ['leader', 0],
      ['follower', 0],
      ['candidate', 0],
    ]);
    for (const replica of this.#replicas.values()) {
      const { role } = replica.raft;
      byRole.set(role, (byRole.get(role) ?? 0) + 1);
    }
    for (const [role, count] of byRole) yield [{ role }, count];
  }
}

export interface RaftHostOptions {
  nodeId: number;
  clock: Clock;
  logger: Logger;
  metrics: Metrics;
  prng: Prng;
  transport: Transport;
  /** Who moves snapshots between nodes. */
  snapshots(host: SnapshotHost): SnapshotPort;
  /** When images are checked after the start; for tests. */
  imageCheckDelayMs?: number;
  /**
   * Which entries of a group in [first, last] still hold live records, ascending, at most `limit`, with their bytes.
   * Asked of the group's owner by the reclaimer, because only its rows know.
   */
  liveEntries(groupId: number, first: number, last: number, limit: number): Promise<{ index: number; bytes: number }[]>;
}

export interface GroupStatus extends Status {
  impaired: Error | undefined;
  /** What was committed and applied here; `membership` is what is in force. */
  committedMembership: Membership;
  committedMembershipIndex: number;
}
