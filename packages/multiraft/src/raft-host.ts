import { SluiceError } from '@sluice/common/errors';
import type { Counter } from '@sluice/common/metrics';
import type { MembershipChange } from '@sluice/raft/conf-change';
import type { Message } from '@sluice/raft/message';
import type { Refusal } from '@sluice/raft/raft';
import type { RaftFrame } from '@sluice/rpc/contract/raft';
import type { SnapshotAnswer, SnapshotChunk } from '@sluice/rpc/contract/raft-snapshot';
import type { ServiceRegistry } from '@sluice/rpc/transport';
import { ApplyLoop } from './apply-loop.ts';
import { CommitWatch } from './commit-watch.ts';
import { GroupChanges } from './group-changes.ts';
import type { GroupMachine } from './group-machine.ts';
import type { GroupStatus } from './group-status.ts';
import { GroupTicker } from './group-ticker.ts';
import { ImageCheck } from './image-check.ts';
import { ImageKeeper } from './image-keeper.ts';
import { ImpairedNotes } from './impaired-notes.ts';
import { type NodeStorage, syncState } from './node-storage.ts';
import { PeerLinks } from './peer-links.ts';
import { PeerWatch } from './peer-watch.ts';
import { RaftGauges } from './raft-gauges.ts';
import type { RaftHostOptions } from './raft-host-options.ts';
import { ELECTION_MS, TICK_MS } from './raft-timing.ts';
import type { Replica } from './replica.ts';
import { type GroupParts, ReplicaLoader } from './replica-loader.ts';
import { wipeReplica } from './replica-wipe.ts';
import { SegmentReclaimer } from './segment-reclaimer.ts';
import { whenRoom } from './snapshot-files.ts';
import type { SnapshotPort } from './snapshot-port.ts';
import { handOverLeaderships } from './stalled-leader.ts';
import { StoreLoop } from './store-loop.ts';
import { TickTimer } from './tick-timer.ts';

/**
 * Runs all Raft groups of one node on one disk: the store's partitions and the coordinator's metadata alike. Roles
 * register a machine and a listener a group and propose commands; everything between a proposal and its answer is here,
 * also what lies on other nodes. A group of which this node is the only member costs neither ticks nor links.
 */
export class RaftHost {
  readonly gauges: RaftGauges;
  readonly #storage: NodeStorage;
  readonly #options: RaftHostOptions;
  readonly #replicas = new Map<number, Replica>();
  readonly #changes = new GroupChanges();
  readonly #storeLoop: StoreLoop;
  readonly #applyLoop: ApplyLoop;
  readonly #links: PeerLinks;
  readonly #watch: PeerWatch;
  readonly #ticker: GroupTicker;
  readonly #loader: ReplicaLoader;
  readonly #snapshots: SnapshotPort;
  readonly #imageKeeper: ImageKeeper;
  readonly #imageCheck: ImageCheck;
  readonly #reclaimer: SegmentReclaimer;
  readonly #strangers: Counter;
  /** As the storage found them; who was wiped since is none. */
  readonly #impairedNotes: ImpairedNotes;
  readonly #ends = (): boolean => this.#closing || this.#failed !== undefined;
  readonly #timer = new TickTimer(PeerLinks.BEAT_TICKS, (ticks) => this.#tick(ticks));
  #failed: Error | undefined;
  readonly #failureListeners: ((cause: Error) => void)[] = [];
  #started = false;
  #closing = false;

  constructor(storage: NodeStorage, options: RaftHostOptions) {
    this.#storage = storage;
    this.#options = options;
    const { clock, logger, metrics, transport, nodeId, prng, liveEntries } = options;
    this.#impairedNotes = new ImpairedNotes(storage, logger, this.#ends);
    const { entryLog } = storage;
    const replicas = this.#replicas;
    const fail = (cause: Error): void => this.#fail(cause);
    const settle = (replica: Replica): void => this.#settle(replica);
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
    storage.engine.onFailure(fail);
    this.#imageKeeper = new ImageKeeper({ storage, applyLoop: this.#applyLoop, logger });
    this.#watch = new PeerWatch({
      nodeId,
      prng,
      replicas,
      settle,
      hasten: () => this.#storeLoop.hasten(),
    });
    this.#links = new PeerLinks({
      transport,
      entryLog,
      clock,
      logger,
      metrics,
      silenceMs: ELECTION_MS,
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
      wake: settle,
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
      onStalled: () => handOverLeaderships(replicas.values(), (peer) => this.peerAlive(peer), settle),
    });
    this.#ticker = new GroupTicker({
      nodeId,
      links: this.#links,
      applyLoop: this.#applyLoop,
      commitWatch: new CommitWatch(logger),
      nowMs: clock.monotonicMs(),
      settle,
      readBarrier: (groupId) => this.readBarrier(groupId),
    });
    this.#loader = new ReplicaLoader({ nodeId, prng, storage, write: (write) => this.#storeLoop.write(write) });
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
      onFailed: fail,
    });
    this.gauges = new RaftGauges(metrics, replicas, () => this.#failed !== undefined);
  }

  /**
   * Adds a group with its state as of the last applied batch; its log is replayed from there once this node has started.
   * A group that has never been here begins with `bootstrapVoters`, the same on each of them; without, it waits to be
   * added by its leader. Refused while the group is being added or removed.
   */
  addGroup<Machine extends GroupMachine<Reply, Effect>, Reply, Effect>(
    group: GroupParts<Machine, Reply, Effect>,
  ): Promise<Machine> {
    return this.#changes.alone(group.groupId, () => this.#add(group));
  }

  async #add<Machine extends GroupMachine<Reply, Effect>, Reply, Effect>(
    group: GroupParts<Machine, Reply, Effect>,
  ): Promise<Machine> {
    const { groupId } = group;
    if (this.#replicas.has(groupId)) throw new SluiceError('GROUP_INVALID', `group ${groupId} is here already`);
    // Before the start nobody ticks, and a group's first entry may have to wait for space on the disk.
    const retry = setInterval(() => this.#storeLoop.retry(), TICK_MS);
    const load = this.#loader.load(group, this.#impairedNotes.found.get(groupId));
    const { replica, machine, impaired } = await load.finally(() => clearInterval(retry));
    this.#replicas.set(groupId, replica);
    if (impaired !== undefined) this.#impair(replica, impaired);
    else if (this.#started) this.#begin(replica);
    return machine;
  }

  /** Takes a group off this node: log, rows and images are gone when it resolves. Refused as `addGroup` is. */
  removeGroup(groupId: number): Promise<void> {
    return this.#changes.alone(groupId, () => this.#remove(groupId));
  }

  async #remove(groupId: number): Promise<void> {
    const replica = this.#replicas.get(groupId);
    if (replica !== undefined) {
      replica.removed = true;
      this.#replicas.delete(groupId);
      this.#applyLoop.end(replica);
      replica.recent.clear();
    }
    await this.#snapshots.abandon(groupId);
    // Neither a turn nor a batch that still knows it is under way after these.
    await this.#storeLoop.nextTurn();
    await this.#applyLoop.betweenBatches(() => {});
    await this.#imageKeeper.settled();
    await this.#impairedNotes.settled();
    await whenRoom(() => wipeReplica(this.#storage, groupId), this.#ends);
    this.#impairedNotes.found.delete(groupId);
    this.#applyLoop.forgetGroup(groupId);
  }

  /**
   * A deaf replica takes no message and hence acknowledges nothing more than it has. Whoever asks the group whether it goes
   * on without this replica deafens it first: what the answer knows of is then all that it ever acknowledged.
   */
  deafen(groupId: number, deaf: boolean): void {
    const replica = this.#replicas.get(groupId);
    if (replica !== undefined) replica.deaf = deaf;
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
      this.#links.opened(from, channel);
      this.#watch.found(from);
    });
    registry.serveChannel<SnapshotChunk, SnapshotAnswer>('raft-snapshot', (channel, from) =>
      this.#snapshots.accept(channel, from),
    );
  }

  /** Begins to tick. A group whose only voter is this node leads at once, in the first turn. */
  start(): void {
    this.#started = true;
    this.#ticker.begin(this.#options.clock.monotonicMs());
    for (const replica of this.#replicas.values()) this.#begin(replica);
    this.#timer.start();
    this.#reclaimer.start();
    this.#imageCheck.start();
  }

  /** Hands a command to the leader, if that is here. The listener hears the outcome with `token`; a refusal stored nothing. */
  propose(groupId: number, command: Uint8Array, token: unknown): 'proposed' | 'not-leader' | 'busy' | 'unavailable' {
    const replica = this.#replicas.get(groupId);
    if (replica === undefined) return 'not-leader';
    if (this.#isUnavailable(replica)) return 'unavailable';
    const outcome = replica.raft.propose([command]);
    if ('refused' in outcome) return outcome.refused === 'not-leader' ? 'not-leader' : 'busy';
    const nowMs = this.#options.clock.monotonicMs();
    if (token !== undefined) replica.pending.add(outcome.firstIndex, outcome.term, token, nowMs);
    this.#storeLoop.wakeToWrite(replica);
    return 'proposed';
  }

  /** For proposals that nobody waits for: called when there is a turn that they may share, and after some milliseconds anyway. */
  withNextTurn = (propose: () => void): void => this.#storeLoop.withNextTurn(propose);

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
    // The listener hears of it with the next turn, and the one under way may hang on the disk for seconds.
    if (replica.raft.role !== 'leader') return false;
    if (replica.isAlone(this.#options.nodeId)) return true;
    return !replica.unconfirmed && !this.#ticker.isPaused(this.#options.clock.monotonicMs());
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
    return {
      ...replica.raft.status(),
      impaired: replica.impaired,
      committedMembership: replica.membership,
      committedMembershipIndex: replica.membershipIndex,
    };
  }

  /** That node was heard from within an election timeout, and its connection stands. */
  peerAlive(nodeId: number): boolean {
    return nodeId === this.#options.nodeId || this.#links.peerAlive(nodeId);
  }

  /** Replicas that cannot be trusted: they vote for nobody, lead nothing, and wait to be exchanged. */
  impaired(): number[] {
    return [...this.#replicas.values()].filter(({ impaired }) => impaired).map(({ groupId }) => groupId);
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
    return this.#storeLoop.full || this.#applyLoop.full || this.#storage.engine.isFull;
  }

  /** Groups that stopped because an entry could not be applied. */
  stoppedGroups(): { groupId: number; cause: Error }[] {
    return [...this.#replicas.values()].flatMap(({ groupId, stopped }) =>
      stopped === undefined ? [] : [{ groupId, cause: stopped }],
    );
  }

  /** Finishes the turn in flight; the derived state is synced, so that the next start has nothing to replay. */
  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    this.#timer.stop();
    this.#watch.close();
    this.#applyLoop.stopWaiting();
    await this.#imageCheck.stop();
    await this.#reclaimer.stop();
    await this.#snapshots.abandon(undefined);
    await this.#storeLoop.idle();
    await this.#applyLoop.idle();
    await this.#impairedNotes.settled();
    this.#links.close();
    for (const replica of this.#replicas.values()) this.#applyLoop.end(replica);
    if (this.#failed === undefined) await syncState(this.#storage, this.#options.logger);
    await this.#storage.close();
  }

  #begin(replica: Replica): void {
    if (replica.impaired !== undefined) return;
    if (replica.isAlone(this.#options.nodeId)) replica.raft.campaign();
    else replica.raft.hurry();
    this.#storeLoop.wake(replica);
  }

  #isUnavailable(replica: Replica): boolean {
    return this.#failed !== undefined || this.#closing || (replica.stopped ?? replica.impaired) !== undefined;
  }

  /** Something was done to a core: its Ready goes into the next turn, and whoever must know hears who leads. */
  #settle(replica: Replica): void {
    if (replica.removed) return;
    this.#storeLoop.applyCommitted(replica);
    if (replica.raft.hasReady()) this.#storeLoop.wake(replica);
    else this.#applyLoop.leadershipMayHaveMoved(replica);
  }

  #hear(frame: RaftFrame, from: number): void {
    if (this.#failed !== undefined || this.#closing) return;
    this.#links.heard(from, frame);
    for (const { groupId, message } of frame.messages) {
      const replica = this.#replicas.get(groupId);
      // A snapshot comes on a channel of its own; the message alone would promise what is not here.
      if (message.from !== from || message.type === 'snapshot') this.#strangers.add();
      else if (replica !== undefined) this.#step(replica, message);
    }
    for (const { groupId, notice } of frame.quiesced) {
      const replica = this.#replicas.get(groupId);
      if (replica === undefined || replica.deaf || replica.impaired !== undefined) continue;
      if (notice.leader !== from) this.#strangers.add();
      else if (replica.raft.followQuiesce(notice)) this.#settle(replica);
    }
  }

  #step(replica: Replica, message: Message): void {
    if (replica.removed || replica.deaf || replica.impaired !== undefined) return;
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
    if (type === 'pre-vote' || type === 'pre-vote-response') this.#storeLoop.hasten();
  }

  /** While every group sleeps and every other node is heard, only beats are due: nothing else wakes an idle node. */
  #tick(ticks: number): boolean {
    this.#storeLoop.retry();
    this.#applyLoop.retry();
    if (this.#failed !== undefined) return false;
    const isAwake = this.#ticker.tick(this.#replicas.values(), this.#options.clock.monotonicMs(), ticks);
    this.#storeLoop.relieve();
    for (let i = 0; i < ticks; i++) this.#snapshots.tick();
    return isAwake || this.#storeLoop.isBusy || !this.#links.hearsAll;
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
    this.#impairedNotes.write(replica.groupId, cause);
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
    for (const replica of this.#replicas.values()) this.#applyLoop.end(replica);
  }
}
