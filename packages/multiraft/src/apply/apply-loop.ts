import { assert } from '@sluice/common/assert';
import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import { type Counter, type Histogram, type Metrics, SYNC_SECONDS_BOUNDS } from '@sluice/common/metrics';
import { decodeMembership } from '@sluice/raft/conf-change';
import { EntryKind, type Membership } from '@sluice/raft/entry';
import type { Engine, KeyValueWrite } from '@sluice/storage/engine';
import { isDamage } from '@sluice/storage/entry-log/log-errors';
import type { EntryLog } from '@sluice/storage/entry-log-contract';
import type { Shortage } from '@sluice/storage/shortage';
import {
  encodeApplied,
  encodeLogMark,
  encodeMembershipRow,
  type LogMark,
  logMarkKey,
  membershipKey,
} from '../disk/keyspace.ts';
import type { GroupMachine } from '../group-machine.ts';
import type { Replica } from '../replica/replica.ts';
import { GroupWork } from './group-work.ts';
import { FetchList, nameOf, RowBatch, rowId } from './row-batch.ts';
import { RowCache } from './row-cache.ts';
import { SpaceWait } from './space-wait.ts';

/** Every batch writes it. */
const LOG_MARK_NAME = nameOf(logMarkKey);

/**
 * Applies committed entries to their machines, all groups of a node in one batch.
 *
 * Applying inside the store loop would make every sync wait for the reads of the entries before it. So this is a second
 * loop beside it: fetch the rows of the batch (two `getMany`, for what `RowCache` does not have), apply synchronously, answer the proposers, then write
 * rows, applied indexes and the witness of the log's end in one atomic, unsynced write. Effects follow that write, so
 * whoever reads rows because of an effect finds them.
 *
 * The answers need not wait for the write: the entries are durable in the log, the rows can be made again from them.
 *
 * So a full disk, or no file descriptor to read with, is no reason to give up either: the batch keeps its rows and asks
 * again (`space-wait`). Machines are then ahead of the engine, which only this loop could notice, and it stands still.
 */
export class ApplyLoop {
  readonly #engine: Engine;
  readonly #entryLog: EntryLog;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #logMark: () => LogMark;
  readonly #wake: (replica: Replica) => void;
  readonly #onFailed: (cause: Error) => void;
  readonly #onStopped: (replica: Replica, cause: Error) => void;
  readonly #commitSeconds: Histogram;
  readonly #applySeconds: Histogram;
  readonly #elections: Counter;
  readonly #leaderChanges: Counter;
  readonly #cache = new RowCache();
  readonly #space: SpaceWait;
  #waiting: Replica[] = [];
  #running = false;
  #failed: Error | undefined;
  /** Run between two batches, when engine and machines agree. */
  #betweenBatches: { act: () => void; reject: (cause: Error) => void }[] = [];

  /** Behind all that came with the same frame. */
  readonly #begin = (): void => {
    void this.#run();
  };

  constructor(options: {
    engine: Engine;
    entryLog: EntryLog;
    logger: Logger;
    metrics: Metrics;
    clock: Clock;
    logMark: () => LogMark;
    wake: (replica: Replica) => void;
    onFailed: (cause: Error) => void;
    onStopped: (replica: Replica, cause: Error) => void;
  }) {
    this.#engine = options.engine;
    this.#entryLog = options.entryLog;
    this.#logger = options.logger;
    this.#clock = options.clock;
    this.#space = new SpaceWait(options.logger);
    this.#logMark = options.logMark;
    this.#wake = options.wake;
    this.#onFailed = options.onFailed;
    this.#onStopped = options.onStopped;
    this.#elections = options.metrics.counter(
      'sluice_raft_elections_total',
      'Terms in which this node stood for election, over all groups',
    );
    this.#leaderChanges = options.metrics.counter(
      'sluice_raft_leader_changes_total',
      'Leaders this node came to know, over all groups',
    );
    this.#commitSeconds = options.metrics.histogram(
      'sluice_raft_commit_seconds',
      'From a proposal to this leader until its entry was committed and applied',
      SYNC_SECONDS_BOUNDS,
    );
    this.#applySeconds = options.metrics.histogram(
      'sluice_raft_apply_seconds',
      'One batch of committed entries, from fetching rows to the write of the new ones',
      SYNC_SECONDS_BOUNDS,
    );
  }

  /** Entries up to `index` may be applied. */
  commit(replica: Replica, index: number): void {
    if (index > replica.committedIndex) replica.committedIndex = index;
    this.#list(replica);
  }

  /** Tells the listener what it does not know of role, leader and term. */
  leadershipMayHaveMoved(replica: Replica): void {
    const { raft } = replica;
    const isLeader = raft.role === 'leader';
    const leadsNow = isLeader && replica.toldTerm === raft.term;
    if (replica.leads && !leadsNow) this.#leadershipEnded(replica);
    if (!replica.leads && isLeader) this.#list(replica);
    const { leader, term } = raft;
    if (leader === replica.toldLeader && term === replica.toldTerm) return;
    const known = leader !== replica.toldLeader || leader !== 0;
    replica.reads.failAll();
    if (term !== replica.toldTerm && raft.role !== 'follower') this.#elections.add();
    if (leader !== 0) this.#leaderChanges.add();
    replica.toldLeader = leader;
    replica.toldTerm = term;
    this.#logger.debug({ group: replica.groupId, term, role: raft.role, leader }, 'the leadership of a group moves');
    if (known) replica.listener.leaderMoved(leader, term);
  }

  /**
   * Proposals under way keep waiting: the next leader's entries tell within moments whether they are in the log, and a
   * planned hand-over leaves no doubt at all. Whoever gave up on them asks `giveUp`.
   */
  #leadershipEnded(replica: Replica): void {
    replica.leads = false;
    replica.unconfirmed = false;
    replica.listener.leadership(false);
  }

  /** Nobody knows whether these will be applied: the group's new leader was not heard in time, or this node stops. */
  giveUp(replica: Replica, reason: 'unknown' | 'unavailable'): void {
    for (const token of replica.pending.takeAll()) replica.listener.dropped(token, reason);
  }

  /** This node serves nothing more of the group: nobody may wait for it. */
  end(replica: Replica): void {
    this.giveUp(replica, 'unavailable');
    replica.reads.failAll();
  }

  /**
   * A snapshot was installed: the engine holds the rows of `machine` as of `applied`. Called within `betweenBatches`, or
   * at a moment when no batch can hold this group.
   */
  replaceState(
    replica: Replica,
    machine: GroupMachine<unknown, unknown>,
    applied: { index: number; term: number },
    membership: { membership: Membership; index: number },
  ): void {
    this.#cache.forgetGroup(replica.groupId);
    replica.machine = machine;
    replica.recent.clear();
    replica.appliedIndex = applied.index;
    replica.appliedTerm = applied.term;
    replica.committedIndex = Math.max(replica.committedIndex, applied.index);
    replica.membership = membership.membership;
    replica.membershipIndex = membership.index;
    this.giveUp(replica, 'unknown');
    replica.listener.restored(machine);
    replica.listener.membershipMoved(membership.membership, membership.index);
  }

  /** The group is gone from this node: nothing of it may be taken for rows of the next replica. */
  forgetGroup(groupId: number): void {
    this.#cache.forgetGroup(groupId);
  }

  /** A row that was written lately, as the last applied entry left it; undefined says nothing about the row. */
  recentRow(groupId: number, key: Uint8Array): Uint8Array | undefined {
    return this.#cache.get(rowId(groupId, key));
  }

  /** Resolves between two batches, when every applied entry's rows are in the engine; rejects when there are no more. */
  betweenBatches<T>(act: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#failed !== undefined) {
        reject(this.#failed);
        return;
      }
      const task = () => {
        try {
          resolve(act());
        } catch (cause) {
          reject(cause as Error);
        }
      };
      this.#betweenBatches.push({ act: task, reject });
      this.#start();
    });
  }

  /** What holds a batch back. */
  get shortage(): Shortage | undefined {
    return this.#space.shortage;
  }

  /** Tries a held batch again; called on the host's tick. */
  retry(): void {
    this.#space.retry();
  }

  /** The node stops: a batch that waits for space gets one more try, then is given up; the log has it for the next start. */
  stopWaiting(): void {
    this.#space.end();
  }

  async idle(): Promise<void> {
    while (this.#running) await new Promise((resolve) => setImmediate(resolve));
  }

  #list(replica: Replica): void {
    if (replica.listed) return;
    replica.listed = true;
    this.#waiting.push(replica);
    this.#start();
  }

  #start(): void {
    if (this.#running || this.#failed !== undefined) return;
    this.#running = true;
    queueMicrotask(this.#begin);
  }

  async #run(): Promise<void> {
    try {
      while (this.#waiting.length > 0 || this.#betweenBatches.length > 0) {
        const tasks = this.#betweenBatches;
        this.#betweenBatches = [];
        for (const { act } of tasks) act();
        const replicas = this.#waiting;
        this.#waiting = [];
        for (const replica of replicas) replica.listed = false;
        if (replicas.length > 0) await this.#batch(replicas);
      }
    } catch (cause) {
      this.#failed = cause as Error;
      for (const { reject } of this.#betweenBatches) reject(this.#failed);
      this.#betweenBatches = [];
      if (this.#space.gaveUp(cause)) return;
      this.#logger.error({ err: cause }, 'applying failed: this node serves nothing more');
      this.#onFailed(this.#failed);
    } finally {
      this.#running = false;
    }
  }

  async #batch(replicas: readonly Replica[]): Promise<void> {
    const startedMs = this.#clock.monotonicMs();
    const works: GroupWork[] = [];
    const rows = new RowBatch(this.#cache);
    for (const replica of replicas) {
      if (isAtRest(replica)) continue;
      const work = new GroupWork(replica, rows);
      // Nearly always all of it is in memory, and nothing is waited for.
      if (work.takeRecent() || (await this.#readRest(work))) works.push(work);
    }
    await this.#fetchRows(works, rows);
    for (const work of works) this.#apply(work, rows);
    await this.#write(works, rows);
    for (const work of works) this.#finish(work);
    this.#applySeconds.observe((this.#clock.monotonicMs() - startedMs) / 1000);
  }

  /** False when what is to be applied next cannot be read: its group stops, the others go on. */
  async #readRest(work: GroupWork): Promise<boolean> {
    try {
      await this.#space.patiently(() => work.readRest(this.#entryLog));
      return true;
    } catch (cause) {
      if (!isDamage(cause)) throw cause;
      this.#stop(work.replica, work.replica.appliedIndex + 1, cause);
      return false;
    }
  }

  async #fetchRows(works: readonly GroupWork[], rows: RowBatch): Promise<void> {
    const wanted = new FetchList();
    for (const { replica, commands, rows: view } of works) {
      if (commands.length === 0) continue;
      replica.machine.neededRows(commands, (key) => wanted.add(rows, view, key));
    }
    if (wanted.size > 0) await this.#space.patiently(() => wanted.run(this.#engine, rows));
    for (const { replica, commands, rows: view } of works) {
      if (commands.length === 0) continue;
      view.rewind();
      replica.machine.furtherRows(commands, view, (key) => wanted.add(rows, view, key));
    }
    if (wanted.size > 0) await this.#space.patiently(() => wanted.run(this.#engine, rows));
  }

  #apply(work: GroupWork, rows: RowBatch): void {
    const { replica, rows: view } = work;
    view.rewind();
    const nowMs = this.#clock.monotonicMs();
    for (const entry of work.entries) {
      assert(entry.index === replica.appliedIndex + 1, 'entries are applied in order, each once');
      let reply: unknown;
      if (entry.kind === EntryKind.NORMAL) {
        try {
          reply = replica.machine.apply(entry.index, entry.data, view, work.effects);
        } catch (cause) {
          this.#stop(replica, entry.index, cause as Error);
          rows.discard(replica.groupId);
          return;
        }
      }
      if (entry.kind === EntryKind.MEMBERSHIP) {
        replica.membership = decodeMembership(entry.data);
        replica.membershipIndex = entry.index;
        work.membershipMoved = true;
      }
      replica.appliedIndex = entry.index;
      replica.appliedTerm = entry.term;
      replica.recent.applied(entry.index);
      const pending = replica.pending.take(entry.index, entry.term);
      if (pending?.lost === false) this.#commitSeconds.observe((nowMs - pending.proposedMs) / 1000);
      if (pending?.lost === true) replica.listener.dropped(pending.token, 'not-leader');
      else if (entry.kind === EntryKind.NORMAL) replica.listener.applied(entry.index, reply, pending?.token);
      if (entry.kind === EntryKind.NO_OP && replica.pending.size > 0) {
        for (const token of replica.pending.takeOlder(entry.term)) replica.listener.dropped(token, 'not-leader');
      }
    }
    replica.machine.flush(view);
  }

  /** A group that met an entry it cannot apply stops alone, and nothing of this batch is written for it. */
  #stop(replica: Replica, index: number, cause: Error): void {
    replica.stopped = cause;
    this.#cache.forgetGroup(replica.groupId);
    this.#logger.error({ err: cause, group: replica.groupId, index }, 'an entry cannot be applied: the group stops');
    replica.recent.clear();
    this.end(replica);
    replica.leads = false;
    replica.listener.leadership(false);
    replica.listener.stopped(cause);
    this.#onStopped(replica, cause);
  }

  async #write(works: readonly GroupWork[], rows: RowBatch): Promise<void> {
    let applied = false;
    for (const { replica, entries, membershipMoved } of works) {
      if (entries.length === 0 || replica.stopped !== undefined) continue;
      applied = true;
      const { groupId, appliedIndex, appliedTerm } = replica;
      rows.note(replica.appliedRowName, encodeApplied({ index: appliedIndex, term: appliedTerm }));
      if (!membershipMoved) continue;
      const { membership, membershipIndex: index } = replica;
      rows.note(nameOf(membershipKey(groupId)), encodeMembershipRow({ index, membership }));
    }
    if (applied) rows.note(LOG_MARK_NAME, encodeLogMark(this.#logMark()));
    const writes: KeyValueWrite[] = rows.writes();
    if (!applied) return;
    await this.#space.patiently(() => this.#engine.write(writes, { sync: false }));
  }

  #finish(work: GroupWork): void {
    const { replica } = work;
    if (replica.stopped !== undefined || replica.removed) return;
    if (work.entries.length > 0) {
      replica.raft.applied(replica.appliedIndex);
      replica.reads.applied(replica.appliedIndex);
      if (replica.raft.hasReady()) this.#wake(replica);
    }
    if (work.effects.length > 0) replica.listener.effects(work.effects);
    if (work.membershipMoved) replica.listener.membershipMoved(replica.membership, replica.membershipIndex);
    if (replica.appliedIndex < replica.committedIndex) this.#list(replica);
    // A new leader serves once its own term's first entry is applied: everything acknowledged before is then known.
    if (!replica.leads && replica.raft.role === 'leader' && replica.appliedTerm === replica.raft.term) {
      this.leadershipMayHaveMoved(replica);
      replica.leads = true;
      this.#logger.debug({ group: replica.groupId, term: replica.raft.term }, 'this node leads a group');
      replica.listener.leadership(true);
    }
  }
}

/** Nothing is applied for it: it stopped, is gone, or its state is being replaced. */
function isAtRest(replica: Replica): boolean {
  const { stopped, removed, installing, installed, impaired } = replica;
  return (
    stopped !== undefined || removed || installing !== undefined || installed !== undefined || impaired !== undefined
  );
}
