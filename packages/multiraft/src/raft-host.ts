import type { Clock } from '@sluice/common/clock';
import { SluiceError } from '@sluice/common/errors';
import type { Logger } from '@sluice/common/logger';
import type { Metrics } from '@sluice/common/metrics';
import type { Prng } from '@sluice/common/prng';
import type { Membership } from '@sluice/raft/entry';
import { RaftGroup } from '@sluice/raft/raft';
import { ApplyLoop } from './apply-loop.ts';
import type { GroupListener, GroupMachine } from './group-machine.ts';
import { ImageCheck } from './image-check.ts';
import { ImageKeeper } from './image-keeper.ts';
import { appliedKey, decodeApplied, groupRange, machineKey } from './keyspace.ts';
import type { NodeStorage } from './node-storage.ts';
import { Replica } from './replica.ts';
import { SegmentReclaimer } from './segment-reclaimer.ts';
import { type PeerSender, StoreLoop } from './store-loop.ts';

/**
 * Runs all Raft groups of one node on one disk: the store's partitions and the coordinator's metadata alike. Roles
 * register a machine and a listener a group and propose commands; everything between a proposal and its answer is here.
 */
export class RaftHost {
  readonly #storage: NodeStorage;
  readonly #options: RaftHostOptions;
  readonly #replicas = new Map<number, Replica>();
  readonly #storeLoop: StoreLoop;
  readonly #applyLoop: ApplyLoop;
  readonly #imageKeeper: ImageKeeper;
  readonly #imageCheck: ImageCheck;
  readonly #reclaimer: SegmentReclaimer;
  #timer: NodeJS.Timeout | undefined;
  #failed: Error | undefined;
  readonly #failureListeners: ((cause: Error) => void)[] = [];
  #closing = false;

  /** One Raft tick. Ten of them make an election timeout, so a dead leader is noticed within one to two seconds. */
  static readonly TICK_MS = 100;
  /** Of one group; what is proposed beyond it is refused as busy. Above the publish buffer of a gateway. */
  static readonly UNCOMMITTED_BYTES_MAX = 128 * 1024 * 1024;

  constructor(storage: NodeStorage, options: RaftHostOptions) {
    this.#storage = storage;
    this.#options = options;
    const fail = (cause: Error): void => this.#fail(cause);
    this.#applyLoop = new ApplyLoop({
      engine: storage.engine,
      entryLog: storage.entryLog,
      logger: options.logger,
      metrics: options.metrics,
      clock: options.clock,
      logMark: () => storage.entryLog.mark(),
      wake: (replica) => this.#storeLoop.wake(replica),
      onFailed: fail,
    });
    this.#storeLoop = new StoreLoop({
      entryLog: storage.entryLog,
      applyLoop: this.#applyLoop,
      peers: options.peers,
      clock: options.clock,
      logger: options.logger,
      metrics: options.metrics,
      onFenced: fail,
    });
    this.#imageKeeper = new ImageKeeper({ storage, applyLoop: this.#applyLoop, logger: options.logger });
    this.#imageCheck = new ImageCheck({
      storage,
      imageKeeper: this.#imageKeeper,
      replicas: this.#replicas,
      logger: options.logger,
      metrics: options.metrics,
      delayMs: options.imageCheckDelayMs ?? ImageCheck.DELAY_MS,
    });
    this.#reclaimer = new SegmentReclaimer({
      storage,
      imageKeeper: this.#imageKeeper,
      replicas: this.#replicas,
      logger: options.logger,
      metrics: options.metrics,
      liveEntries: options.liveEntries,
    });
    options.metrics.collect('sluice_raft_groups', 'Raft groups on this node by role', 'gauge', () =>
      this.#groupsByRole(),
    );
    options.metrics.collect('sluice_raft_fenced', '1 when a failed write stopped this node', 'gauge', () => [
      [{}, this.#failed === undefined ? 0 : 1],
    ]);
  }

  /** Adds a group with its state as of the last applied batch. Its log is replayed from there after `start`. */
  async addGroup<Machine extends GroupMachine<Reply, Effect>, Reply, Effect>(group: {
    groupId: number;
    membership: Membership;
    /** Resident rows: ranges of the machine's own keys to hand to `restore`. */
    residentRanges: readonly { from: Uint8Array; to: Uint8Array }[];
    restore(rows: Iterable<{ key: Uint8Array; value: Uint8Array }>): Machine;
    listener: GroupListener<Reply, Effect>;
  }): Promise<Machine> {
    const { engine, entryLog } = this.#storage;
    const { groupId } = group;
    const rows: { key: Uint8Array; value: Uint8Array }[] = [];
    const prefix = groupRange(groupId).from;
    for (const range of group.residentRanges) {
      const from = Buffer.concat([prefix, range.from]);
      const to = Buffer.concat([prefix, range.to]);
      for await (const chunk of engine.snapshotScan(from, to, 4096)) {
        for (const row of chunk) rows.push({ key: machineKey(row.key), value: row.value });
      }
    }
    const machine = group.restore(rows);
    const appliedValue = await engine.get(appliedKey(groupId));
    const applied = appliedValue === undefined ? { index: 0, term: 0 } : decodeApplied(appliedValue);
    const recovered = entryLog.groups.get(groupId);
    const firstIndex = recovered?.firstIndex ?? 1;
    const raft = new RaftGroup(
      { peerId: this.#options.nodeId, prng: this.#options.prng, uncommittedBytesMax: RaftHost.UNCOMMITTED_BYTES_MAX },
      {
        firstIndex: () => entryLog.firstIndex(groupId),
        lastIndex: () => entryLog.lastIndex(groupId),
        term: (index) => entryLog.term(groupId, index),
        sizeBytes: (index) => entryLog.sizeBytes(groupId, index),
      },
      {
        hardState: recovered?.hardState ?? { term: 0, vote: 0, commit: 0 },
        membership: group.membership,
        snapshot: { index: firstIndex - 1, term: entryLog.term(groupId, firstIndex - 1) ?? 0 },
        appliedIndex: applied.index,
      },
    );
    this.#replicas.set(
      groupId,
      new Replica({
        groupId,
        raft,
        machine: machine as unknown as GroupMachine<unknown, unknown>,
        listener: group.listener as GroupListener<unknown, unknown>,
        appliedIndex: applied.index,
        appliedTerm: applied.term,
      }),
    );
    return machine;
  }

  /** Begins to tick. A group whose only voter is this node leads at once, in the first turn. */
  start(): void {
    for (const replica of this.#replicas.values()) {
      if (replica.soleVoter) replica.raft.campaign();
      this.#storeLoop.wake(replica);
    }
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
    if (this.#failed !== undefined || this.#closing || replica.stopped !== undefined) return 'unavailable';
    const outcome = replica.raft.propose([command]);
    if ('refused' in outcome) return outcome.refused === 'too-many-uncommitted' ? 'busy' : 'not-leader';
    if (token !== undefined) replica.pending.add(outcome.firstIndex, outcome.term, token);
    this.#storeLoop.wake(replica);
    return 'proposed';
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

  leads(groupId: number): boolean {
    return this.#replicas.get(groupId)?.leads === true && this.#failed === undefined;
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
    this.#applyLoop.stopWaiting();
    await this.#imageCheck.stop();
    await this.#reclaimer.stop();
    await this.#storeLoop.idle();
    await this.#applyLoop.idle();
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

  #tick(): void {
    this.#storeLoop.retry();
    this.#applyLoop.retry();
    for (const replica of this.#replicas.values()) {
      // A sole voter has nobody to hear from: it was elected in the first turn and its ticks would only cost.
      if (replica.soleVoter && replica.raft.role === 'leader') continue;
      replica.raft.tick();
      if (replica.raft.hasReady()) this.#storeLoop.wake(replica);
    }
  }

  #fail(cause: Error): void {
    if (this.#failed !== undefined) return;
    this.#failed = cause;
    for (const listener of this.#failureListeners) listener(cause);
    for (const replica of this.#replicas.values()) {
      for (const token of replica.pending.takeAll()) replica.listener.dropped(token, 'unavailable');
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
  peers: PeerSender;
  /** When images are checked after the start; for tests. */
  imageCheckDelayMs?: number;
  /**
   * Which entries of a group in [first, last] still hold live records, ascending, at most `limit`, with their bytes.
   * Asked of the group's owner by the reclaimer, because only its rows know.
   */
  liveEntries(groupId: number, first: number, last: number, limit: number): Promise<{ index: number; bytes: number }[]>;
}
