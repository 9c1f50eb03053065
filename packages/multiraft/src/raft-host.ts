import type { MembershipChange } from '@sluice/raft/conf-change';
import type { Refusal } from '@sluice/raft/raft';
import type { DiskTrouble } from '@sluice/rpc/contract/topology-feed';
import type { ServiceRegistry } from '@sluice/rpc/transport';
import type { Shortage } from '@sluice/storage/shortage';
import { ApplyLoop } from './apply/apply-loop.ts';
import { ImageCheck } from './disk/image-check.ts';
import { ImageKeeper } from './disk/image-keeper.ts';
import { type NodeStorage, syncState } from './disk/node-storage.ts';
import { SegmentReclaimer } from './disk/segment-reclaimer.ts';
import { GroupDriver } from './group/group-driver.ts';
import { GroupRoster } from './group/group-roster.ts';
import type { GroupStatus } from './group/group-status.ts';
import type { GroupMachine } from './group-machine.ts';
import { FrameIntake } from './peers/frame-intake.ts';
import { PeerLinks } from './peers/peer-links.ts';
import { PeerWatch } from './peers/peer-watch.ts';
import { RaftGauges } from './raft-gauges.ts';
import type { RaftHostOptions } from './raft-host-options.ts';
import { ELECTION_MS } from './raft-timing.ts';
import { ImpairedNotes } from './replica/impaired-notes.ts';
import type { Replica } from './replica/replica.ts';
import { type GroupParts, ReplicaLoader } from './replica/replica-loader.ts';
import type { SnapshotPort } from './snapshot/snapshot-port.ts';
import { StoreLoop } from './store-loop.ts';
import { CommitWatch } from './tick/commit-watch.ts';
import { GroupTicker } from './tick/group-ticker.ts';
import { handOverLeaderships } from './tick/stalled-leader.ts';
import { TickTimer } from './tick/tick-timer.ts';

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
  readonly #storeLoop: StoreLoop;
  readonly #applyLoop: ApplyLoop;
  readonly #links: PeerLinks;
  readonly #watch: PeerWatch;
  readonly #ticker: GroupTicker;
  readonly #driver: GroupDriver;
  readonly #roster: GroupRoster;
  readonly #intake: FrameIntake;
  readonly #snapshots: SnapshotPort;
  readonly #imageKeeper: ImageKeeper;
  readonly #imageCheck: ImageCheck;
  readonly #reclaimer: SegmentReclaimer;
  /** As the storage found them; who was wiped since is none. */
  readonly #impairedNotes: ImpairedNotes;
  readonly #timer = new TickTimer(PeerLinks.BEAT_TICKS, (ticks) => this.#tick(ticks));
  #failed: Error | undefined;
  readonly #failureListeners: ((cause: Error) => void)[] = [];
  #stopping = false;
  #closing = false;

  constructor(storage: NodeStorage, options: RaftHostOptions) {
    this.#storage = storage;
    this.#options = options;
    const { logger, metrics, clock } = options;
    const { entryLog, engine } = storage;
    const replicas = this.#replicas;
    const ends = (): boolean => this.#stopping || this.#failed !== undefined;
    const fail = (cause: Error): void => this.#fail(cause);
    const settle = (replica: Replica): void => this.#driver.settle(replica);
    const leaveToOthers = (replica: Replica, cause: Error): void => this.#driver.leaveToOthers(replica, cause);
    // What a part takes of these its options say; what is said at a part is how it is joined to the others.
    const node = { ...options, storage, entryLog, engine, replicas, ends, settle, onFailed: fail };
    this.#applyLoop = new ApplyLoop({
      ...node,
      logMark: () => entryLog.mark(),
      wake: (replica) => this.#storeLoop.wake(replica),
      onStopped: (replica, cause) => this.#driver.stopped(replica, cause),
    });
    engine.onFailure(fail);
    this.#imageKeeper = new ImageKeeper({ ...node, applyLoop: this.#applyLoop });
    this.#watch = new PeerWatch({ ...node, hasten: () => this.#storeLoop.hasten() });
    this.#links = new PeerLinks({
      ...node,
      silenceMs: ELECTION_MS,
      onBroken: (peer) => this.#watch.broken(peer),
      onLost: (peer) => this.#watch.lost(peer),
      onFound: (peer) => this.#watch.found(peer),
      onDamaged: leaveToOthers,
    });
    const loops = { ...node, applyLoop: this.#applyLoop, imageKeeper: this.#imageKeeper, links: this.#links };
    this.#snapshots = options.snapshots({
      ...loops,
      replica: (groupId) => replicas.get(groupId),
      step: (replica, message) => this.#driver.step(replica, message),
      wake: settle,
      leaveToOthers,
    });
    this.#storeLoop = new StoreLoop({
      ...loops,
      peers: this.#links,
      snapshots: this.#snapshots,
      impair: (replica, cause) => this.#driver.impair(replica, cause),
      onFenced: fail,
      onStalled: () => handOverLeaderships(replicas.values(), (peer) => this.peerAlive(peer), settle),
    });
    this.#impairedNotes = new ImpairedNotes(storage, logger, ends);
    this.#driver = new GroupDriver({ ...loops, storeLoop: this.#storeLoop, impairedNotes: this.#impairedNotes });
    const driven = { ...loops, driver: this.#driver, snapshots: this.#snapshots };
    this.#intake = new FrameIntake({ ...driven, watch: this.#watch });
    this.#roster = new GroupRoster({
      ...driven,
      storeLoop: this.#storeLoop,
      impairedNotes: this.#impairedNotes,
      loader: new ReplicaLoader({ ...node, write: (write) => this.#storeLoop.write(write) }),
    });
    this.#ticker = new GroupTicker({
      ...loops,
      commitWatch: new CommitWatch(logger),
      nowMs: clock.monotonicMs(),
      readBarrier: (groupId) => this.readBarrier(groupId),
    });
    this.#imageCheck = new ImageCheck({ ...loops, delayMs: options.imageCheckDelayMs ?? ImageCheck.DELAY_MS });
    this.#reclaimer = new SegmentReclaimer(loops);
    this.gauges = new RaftGauges(metrics, replicas, () => this.diskTrouble);
  }

  /**
   * Adds a group with its state as of the last applied batch; its log is replayed from there once this node has started.
   * A group that has never been here begins with `bootstrapVoters`, the same on each of them; without, it waits to be
   * added by its leader. Refused while the group is being added or removed.
   */
  addGroup<Machine extends GroupMachine<Reply, Effect>, Reply, Effect>(
    group: GroupParts<Machine, Reply, Effect>,
  ): Promise<Machine> {
    return this.#roster.add(group);
  }

  /** Takes a group off this node: log, rows and images are gone when it resolves. Refused as `addGroup` is. */
  removeGroup(groupId: number): Promise<void> {
    return this.#roster.remove(groupId);
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
    this.#intake.serve(registry);
  }

  /** Begins to tick. A group whose only voter is this node leads at once, in the first turn. */
  start(): void {
    this.#ticker.begin(this.#options.clock.monotonicMs());
    this.#roster.start();
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

  /** For proposals that nobody waits for: called when there is a turn that they may share, all groups' together. Once at a time a group. */
  withLaterTurn = (propose: () => void): void => this.#storeLoop.withLaterTurn(propose);

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
    this.#driver.settle(replica);
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
    if (replica !== undefined) this.#driver.impair(replica, cause);
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

  /** What a write waits for; room on the disk, if for both. */
  get shortage(): Shortage | undefined {
    const found = [this.#storeLoop.shortage, this.#applyLoop.shortage, this.#storage.engine.shortage];
    return found.includes('space') ? 'space' : found.find((one) => one !== undefined);
  }

  /** True while a write waits for space on the disk. */
  get diskFull(): boolean {
    return this.shortage === 'space';
  }

  /** What the disk does not do for this node, the worst of it; undefined while it does what it should. */
  get diskTrouble(): DiskTrouble | undefined {
    if (this.#failed !== undefined) return 'disk-failed';
    const { shortage } = this;
    if (shortage !== undefined) return shortage === 'space' ? 'disk-full' : 'files-exhausted';
    return this.#storeLoop.hangs ? 'disk-hangs' : undefined;
  }

  /** For how long that node has been in sight without a break; without end when it was never lost. */
  inSightMs(nodeId: number): number {
    return this.#links.inSightMs(nodeId);
  }

  /** This node hears nothing of that one, whoever else does. */
  hasLost(nodeId: number): boolean {
    return this.#links.hasLost(nodeId);
  }

  /** Groups that stopped because an entry could not be applied. */
  stoppedGroups(): { groupId: number; cause: Error }[] {
    return [...this.#replicas.values()].flatMap(({ groupId, stopped }) =>
      stopped === undefined ? [] : [{ groupId, cause: stopped }],
    );
  }

  /**
   * The node stops: what waits for room on the disk, or for a descriptor, is given up; the next start has it. Whoever ends what
   * uses this host calls it first: a replica that is being added or removed would keep him waiting for as long.
   */
  stopWaiting(): void {
    this.#stopping = true;
    this.#storeLoop.stopWaiting();
    this.#applyLoop.stopWaiting();
  }

  /** Finishes the turn in flight; the derived state is synced, so that the next start has nothing to replay. */
  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    this.stopWaiting();
    this.#timer.stop();
    this.#watch.close();
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

  #isUnavailable(replica: Replica): boolean {
    return this.#failed !== undefined || this.#closing || (replica.stopped ?? replica.impaired) !== undefined;
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
