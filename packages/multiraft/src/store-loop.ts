import type { Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import { type Counter, type Histogram, type Metrics, SYNC_SECONDS_BOUNDS } from '@sluice/common/metrics';
import type { Entry, SnapshotMeta } from '@sluice/raft/entry';
import type { Message } from '@sluice/raft/message';
import type { Ready } from '@sluice/raft/ready';
import type { EntryLog, LogWrite } from '@sluice/storage/entry-log-contract';
import { SHORTAGE_TEXTS, type Shortage, shortageOf } from '@sluice/storage/shortage';
import type { ApplyLoop } from './apply/apply-loop.ts';
import type { Replica } from './replica/replica.ts';
import type { HeldReady, SnapshotMessage, SnapshotPort } from './snapshot/snapshot-port.ts';
import { TurnCompanions } from './turn-companions.ts';

/**
 * One turn of a node: gather the `ready` of every group with something to do, write all of it in ONE synced frame, send
 * what the write made true, hand on what was committed.
 *
 * The obvious loop, a write per group or per proposal, pays a sync each. Here, while a sync is in flight, everything
 * that arrives gathers for the next turn: no timer and no artificial delay; alone, a message pays one sync; under load,
 * thousands share it. The order persist, then answer, stands here and nowhere else.
 *
 * A full disk (`ENTRY_LOG_FULL`), and no descriptor for the next segment (`FILES_EXHAUSTED`), wrote nothing: the turn is kept and tried again by `retry`, proposals keep their
 * places. Any other failure fences the node: it answers nothing more, because it can no longer promise anything.
 */
export class StoreLoop {
  readonly #entryLog: EntryLog;
  readonly #applyLoop: ApplyLoop;
  readonly #peers: PeerSender;
  readonly #snapshots: SnapshotPort;
  readonly #impair: (replica: Replica, cause: Error) => void;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #onFenced: (cause: Error) => void;
  readonly #onStalled: () => void;
  readonly #turnEntries: Histogram;
  readonly #commitSeconds: Histogram;
  readonly #turns: Counter;
  #dirty: Replica[] = [];
  /** Writes that come from no core: how a group begins. They go into the next turn. */
  #extra: ExtraWrite[] = [];
  readonly #companions = new TurnCompanions();
  /** A proposal waits: the next turn writes. */
  #proposed = false;
  #running = false;
  #scheduled = false;
  #held: Turn | undefined;
  #heldBy = new Error('nothing was held back yet');
  #isStopping = false;
  #shortage: Shortage | undefined;
  /** The turn whose write is in flight. */
  #writing: Turn | undefined;
  #writingSinceMs = 0;
  /** Said of the write in flight, and taken back when it ends. */
  #hangs = false;
  /** What was gathered while that write stalls; the next turn goes on with it. */
  #ahead: Turn | undefined;
  #fenced: Error | undefined;
  #hastening = false;
  readonly #hastened = (): void => {
    this.#hastening = false;
    this.#gatherAhead(0);
  };
  readonly #begin = (): void => {
    this.#scheduled = false;
    void this.#run();
  };

  /** A write of this age is a stall; after the second one others had better lead. */
  static readonly STALL_MS = 50;
  static readonly STALL_MAX_MS = 2500;
  /** What a hand-over may take; then the node falls silent, and its groups miss it. */
  static readonly LAST_WORDS_MS = 500;
  /**
   * Groups are gathered until their entries are this large; the others have the next turn. Each brings what it may have
   * uncommitted at most, and a frame holds a gigabyte: behind a disk that stalls, a node that leads many groups has more.
   */
  static readonly TURN_BYTES_MAX = 512 * 1024 * 1024;

  constructor(options: {
    entryLog: EntryLog;
    applyLoop: ApplyLoop;
    peers: PeerSender;
    snapshots: SnapshotPort;
    impair: (replica: Replica, cause: Error) => void;
    clock: Clock;
    logger: Logger;
    metrics: Metrics;
    onFenced: (cause: Error) => void;
    /** Hands over what this node leads. Called on each tick until the node falls silent. */
    onStalled: () => void;
  }) {
    this.#entryLog = options.entryLog;
    this.#applyLoop = options.applyLoop;
    this.#peers = options.peers;
    this.#snapshots = options.snapshots;
    this.#impair = options.impair;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#onFenced = options.onFenced;
    this.#onStalled = options.onStalled;
    this.#turns = options.metrics.counter('sluice_raft_turns_total', 'Turns of the store loop that wrote something');
    this.#turnEntries = options.metrics.histogram(
      'sluice_raft_append_batch_entries',
      'Entries written by one synced turn, over all groups',
      [1, 2, 4, 8, 16, 32, 64, 128, 256, 512],
    );
    this.#commitSeconds = options.metrics.histogram(
      'sluice_raft_persist_seconds',
      'From gathering a turn until it was durable',
      SYNC_SECONDS_BOUNDS,
    );
  }

  get fenced(): Error | undefined {
    return this.#fenced;
  }

  /** What holds a turn back. */
  get shortage(): Shortage | undefined {
    return this.#shortage;
  }

  /** True while a write has been under way for so long that this node was to lead nothing more. */
  get hangs(): boolean {
    return this.#hangs;
  }

  /** The group has something to do. Called any number of times a turn. */
  wake(replica: Replica): void {
    if (!replica.queued) {
      replica.queued = true;
      this.#dirty.push(replica);
    }
    this.#schedule();
  }

  /** As `wake`, and the turn will write: what waits for company goes with it. */
  wakeToWrite(replica: Replica): void {
    this.#proposed = true;
    this.wake(replica);
  }

  /** Calls `propose` when a turn that writes is gathered some milliseconds from now, or a little later anyway: for what nobody waits for. */
  withLaterTurn(propose: () => void): void {
    this.#companions.add(propose);
  }

  /** What was just committed is applied at once: the write under way, of what came after it, has nothing to add. */
  applyCommitted(replica: Replica): void {
    if (this.#fenced !== undefined || replica.installing !== undefined || replica.installed !== undefined) return;
    const { first, last } = replica.raft.takeCommitted();
    if (last >= first) this.#applyLoop.commit(replica, last);
  }

  /** Writes for a group that no core speaks for yet, in the next turn's frame. Resolves when it is durable. */
  write(write: LogWrite): Promise<void> {
    return this.#inNextTurn(write);
  }

  /** Resolves when a turn that was gathered after the call is done: nothing of an earlier one is in flight. */
  nextTurn(): Promise<void> {
    return this.#inNextTurn(undefined);
  }

  #inNextTurn(write: LogWrite | undefined): Promise<void> {
    return new Promise((done, reject) => {
      if (this.#fenced !== undefined) {
        reject(this.#fenced);
        return;
      }
      this.#extra.push({ write, done, reject });
      if (this.#isStopping && this.#held !== undefined) this.#giveUpWaits();
      this.#schedule();
    });
  }

  /** The node stops: behind a turn that is held back no other one comes, and who waits for that hears so. */
  stopWaiting(): void {
    this.#isStopping = true;
    if (this.#held !== undefined) this.#giveUpWaits();
  }

  #giveUpWaits(): void {
    for (const turn of [this.#held, this.#ahead]) {
      for (const { reject } of turn?.extra ?? []) reject(this.#heldBy);
      if (turn !== undefined) turn.extra = [];
    }
    for (const { reject } of this.#extra) reject(this.#heldBy);
    this.#extra = [];
  }

  #schedule(): void {
    if (this.#running || this.#scheduled || this.#fenced !== undefined) return;
    this.#scheduled = true;
    setImmediate(this.#begin);
  }

  /** A turn is in flight, held back, or begins in a moment. */
  get isBusy(): boolean {
    return this.#running || this.#scheduled || this.#held !== undefined;
  }

  /** Tries a held turn again; called on the host's tick. */
  retry(): void {
    if (this.#held === undefined || this.#running || this.#scheduled || this.#fenced !== undefined) return;
    this.#scheduled = true;
    setImmediate(this.#begin);
  }

  /**
   * Called on the host's tick. A disk that stalls for some hundred milliseconds must not look like a dead node: what needs
   * no disk (heartbeats and their answers) leaves while the write is in flight. One that stalls for longer should be
   * replaced: it hands over what it leads, and falls silent a moment later.
   */
  relieve(): void {
    const turn = this.#writing;
    if (turn === undefined) return;
    const nowMs = this.#clock.monotonicMs();
    if (turn.silentAtMs === undefined && nowMs - turn.startedMs > StoreLoop.STALL_MAX_MS) {
      turn.silentAtMs = nowMs + StoreLoop.LAST_WORDS_MS;
    }
    // A turn that a full disk held back, or one gathered behind a write that hung, is old before its write begins.
    const ageMs = nowMs - this.#writingSinceMs;
    if (!this.#hangs && ageMs > StoreLoop.STALL_MAX_MS) {
      this.#hangs = true;
      this.#logger.warn({ ageMs }, 'the disk hangs: what this node leads is handed over');
    }
    // Again on each tick: who was not heard for a moment may be the one.
    if (turn.silentAtMs !== undefined && nowMs <= turn.silentAtMs) this.#onStalled();
    this.#gatherAhead(StoreLoop.STALL_MS);
    // Of what is not gathered any more nothing leaves, but who led must hear that it does not.
    for (const replica of this.#dirty) if (!replica.removed) this.#applyLoop.leadershipMayHaveMoved(replica);
  }

  /** For an election: what was done in this turn of the event loop leaves at its end, whatever is being written. */
  hasten(): void {
    if (this.#writing === undefined || this.#hastening) return;
    this.#hastening = true;
    setImmediate(this.#hastened);
  }

  #gatherAhead(ageMinMs: number): void {
    const turn = this.#writing;
    if (turn === undefined || this.#fenced !== undefined || this.#dirty.length === 0) return;
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - turn.startedMs < ageMinMs || nowMs > (turn.silentAtMs ?? nowMs)) return;
    this.#ahead = this.#gather(this.#ahead);
  }

  /** Resolves when no turn is in flight. */
  async idle(): Promise<void> {
    while (this.#running || this.#scheduled) await new Promise((resolve) => setImmediate(resolve));
  }

  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    let turn: Turn | undefined;
    try {
      turn = this.#held ?? this.#gather(undefined);
      while (turn !== undefined) {
        if (!(await this.#persist(turn))) break;
        turn = this.#gather(this.#ahead);
        this.#ahead = undefined;
      }
    } catch (cause) {
      for (const begun of [turn, this.#ahead]) for (const { reject } of begun?.extra ?? []) reject(cause as Error);
      this.#fence(cause as Error);
    } finally {
      this.#running = false;
    }
  }

  /** Adds what is to be done to a turn that was begun, or to a new one. */
  #gather(begun: Turn | undefined): Turn | undefined {
    if (this.#proposed && this.#companions.isDue) this.#companions.take();
    this.#proposed = false;
    const replicas = this.#dirty;
    if (replicas.length === 0 && this.#extra.length === 0) return begun;
    this.#dirty = [];
    const turn = begun ?? this.#newTurn();
    for (const extra of this.#extra) {
      turn.extra.push(extra);
      if (extra.write !== undefined) turn.writes.push(extra.write);
    }
    this.#extra = [];
    for (let i = 0; i < replicas.length; i++) {
      if (turn.bytes >= StoreLoop.TURN_BYTES_MAX) {
        this.#dirty = [...replicas.slice(i), ...this.#dirty];
        break;
      }
      const replica = replicas[i] as Replica;
      replica.queued = false;
      if (replica.removed) continue;
      this.#collect(replica, turn);
    }
    this.#peers.flush();
    return turn;
  }

  #newTurn(): Turn {
    return {
      writes: [],
      persisted: [],
      afterPersist: [],
      extra: [],
      startedMs: this.#clock.monotonicMs(),
      silentAtMs: undefined,
      entries: 0,
      bytes: 0,
    };
  }

  #collect(replica: Replica, turn: Turn): void {
    if (replica.installing !== undefined) return;
    const { installed } = replica;
    if (installed !== undefined) {
      replica.installed = undefined;
      this.#collectWrites(replica, installed, turn);
      // The core may have more by now; it goes into the turn after this one: one write a group.
      this.wake(replica);
      return;
    }
    if (replica.raft.hasReady()) {
      const ready = replica.raft.ready();
      if (ready.snapshot !== undefined) this.#install(replica, ready, ready.snapshot);
      else this.#collectWrites(replica, ready, turn);
      // After the entries are in `recent`: the appends among these take them from there.
      if (ready.messages.length > 0) this.#send(replica, ready.messages);
      if (ready.readStates.length > 0) replica.reads.confirmed(ready.readStates, replica.appliedIndex);
      if (ready.committed.last >= ready.committed.first) this.#applyLoop.commit(replica, ready.committed.last);
    }
    this.#applyLoop.leadershipMayHaveMoved(replica);
  }

  #collectWrites(replica: Replica, ready: Ready | HeldReady, turn: Turn): void {
    const { hardState, entries, snapshot, messagesAfterPersist } = ready;
    const last = entries.at(-1) ?? snapshot;
    if (last !== undefined || hardState !== undefined) {
      // Of a group that stopped nothing is applied any more: its entries need not wait in memory.
      if (replica.stopped === undefined && replica.impaired === undefined && entries.length > 0) {
        replica.recent.append(entries, replica.raft.persistedIndex);
      }
      addWrite(turn.writes, { groupId: replica.groupId, hardState, entries }, turn === this.#ahead);
      turn.entries += entries.length;
      for (let i = 0; i < entries.length; i++) turn.bytes += (entries[i] as Entry).data.length;
      if (last !== undefined) turn.persisted.push({ replica, term: last.term, index: last.index });
    }
    if (messagesAfterPersist.length > 0) turn.afterPersist.push({ replica, messages: messagesAfterPersist });
  }

  /** The rest of the Ready waits until rows and log are those of the snapshot; other groups go on. */
  #install(replica: Replica, ready: Ready, snapshot: SnapshotMeta): void {
    const { hardState, entries, messagesAfterPersist } = ready;
    const held: HeldReady = { snapshot, hardState, entries, messagesAfterPersist };
    replica.installing = held;
    const install = async (): Promise<void> => {
      try {
        await this.#snapshots.install(replica, snapshot, hardState);
      } catch (cause) {
        this.#impair(replica, cause as Error);
        return;
      }
      replica.installing = undefined;
      replica.installed = held;
      this.wake(replica);
    };
    // A turn that was gathered ahead of a slow disk may still bring entries of the log that is replaced. When there is no
    // next turn, the node has failed.
    this.nextTurn().then(install, () => {});
  }

  #send(replica: Replica, messages: readonly Message[]): void {
    let others: Message[] | undefined;
    for (let i = 0; i < messages.length; i++) {
      const message = messages[i] as Message;
      if (message.type !== 'snapshot') {
        others?.push(message);
        continue;
      }
      others ??= messages.slice(0, i);
      this.#snapshots.send(replica, message as SnapshotMessage);
    }
    this.#peers.send(replica, others ?? messages);
  }

  /** False when the turn is held for want of space or of a descriptor. */
  async #persist(turn: Turn): Promise<boolean> {
    if (turn.writes.length > 0) {
      try {
        this.#writing = turn;
        this.#writingSinceMs = this.#clock.monotonicMs();
        await this.#entryLog.append(turn.writes);
        if (this.#hangs) {
          const ageMs = this.#clock.monotonicMs() - this.#writingSinceMs;
          this.#logger.info({ ageMs }, 'the disk writes again');
        }
      } catch (cause) {
        const shortage = shortageOf(cause);
        if (shortage === undefined) throw cause;
        if (this.#shortage !== shortage) {
          this.#logger.error(
            { err: cause },
            `${SHORTAGE_TEXTS[shortage]}: publishes wait or are refused until there is one again`,
          );
        }
        this.#held = turn;
        this.#heldBy = cause as Error;
        this.#shortage = shortage;
        if (this.#isStopping) this.#giveUpWaits();
        return false;
      } finally {
        this.#writing = undefined;
        this.#hangs = false;
      }
      if (this.#held === turn) this.#logger.info({ lacked: this.#shortage }, 'what was held back is written');
      this.#held = undefined;
      this.#shortage = undefined;
      this.#turns.add();
      this.#turnEntries.observe(turn.entries);
      this.#commitSeconds.observe((this.#clock.monotonicMs() - turn.startedMs) / 1000);
    }
    for (const { done } of turn.extra) done();
    for (const { replica, messages } of turn.afterPersist) if (!replica.removed) this.#peers.send(replica, messages);
    this.#peers.flush();
    // With nothing to be gathered no write would begin before what is committed is applied: then it needs no turn.
    const isLast = this.#dirty.length === 0 && this.#extra.length === 0 && this.#ahead === undefined;
    for (let i = 0; i < turn.persisted.length; i++) {
      const { replica, term, index } = turn.persisted[i] as PersistedWrite;
      if (replica.removed) continue;
      replica.raft.persisted(term, index);
      if (isLast) {
        this.applyCommitted(replica);
        this.#applyLoop.leadershipMayHaveMoved(replica);
      }
      if (replica.raft.hasReady()) this.wake(replica);
    }
    return true;
  }

  #fence(cause: Error): void {
    if (this.#fenced !== undefined) return;
    this.#fenced = cause;
    for (const { reject } of this.#extra) reject(cause);
    this.#extra = [];
    this.#logger.error({ err: cause }, 'the entry log failed: this node is fenced and acknowledges nothing more');
    this.#onFenced(cause);
  }
}

/** How messages reach the other members of a group. `replica.recent` and the entry log hold the entries they name. */
export interface PeerSender {
  /** Takes what is to be sent; the appends' entries must be taken from `replica` in this call or read with care. */
  send(replica: Replica, messages: readonly Message[]): void;
  /** Everything of this half of a turn was given: one frame a peer may leave. */
  flush(): void;
}

interface Turn {
  writes: LogWrite[];
  persisted: PersistedWrite[];
  afterPersist: { replica: Replica; messages: Message[] }[];
  extra: ExtraWrite[];
  startedMs: number;
  /** Its write hangs: from then on nothing is gathered ahead of it. */
  silentAtMs: number | undefined;
  entries: number;
  /** Of their data. */
  bytes: number;
}

/** Up to where a group's log is durable with the turn. */
interface PersistedWrite {
  replica: Replica;
  term: number;
  index: number;
}

interface ExtraWrite {
  write: LogWrite | undefined;
  done: () => void;
  reject: (cause: Error) => void;
}

/** A frame holds one write a group: in a turn that was gathered in several goes, the later one goes on with the earlier. */
function addWrite(writes: LogWrite[], write: LogWrite, mayBeThere: boolean): void {
  const at = mayBeThere ? writes.findIndex(({ groupId }) => groupId === write.groupId) : -1;
  const before = writes[at];
  const first = write.entries[0];
  if (before === undefined) {
    writes.push(write);
    return;
  }
  const kept = first === undefined ? before.entries : before.entries.filter(({ index }) => index < first.index);
  writes[at] = {
    groupId: write.groupId,
    hardState: write.hardState ?? before.hardState,
    entries: [...kept, ...write.entries],
  };
}
