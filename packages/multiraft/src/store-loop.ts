import type { Clock } from '@sluice/common/clock';
import { SluiceError } from '@sluice/common/errors';
import type { Logger } from '@sluice/common/logger';
import { type Counter, type Histogram, type Metrics, SYNC_SECONDS_BOUNDS } from '@sluice/common/metrics';
import type { Message } from '@sluice/raft/message';
import type { EntryLog, LogWrite } from '@sluice/storage/entry-log-contract';
import type { ApplyLoop } from './apply-loop.ts';
import type { Replica } from './replica.ts';

/**
 * One turn of a node: gather the `ready` of every group with something to do, write all of it in ONE synced frame, send
 * what the write made true, hand on what was committed.
 *
 * The obvious loop, a write per group or per proposal, pays a sync each. Here, while a sync is in flight, everything
 * that arrives gathers for the next turn: no timer and no artificial delay; alone, a message pays one sync; under load,
 * thousands share it. The order persist, then answer, stands here and nowhere else.
 *
 * A full disk (`ENTRY_LOG_FULL`) wrote nothing: the turn is kept and tried again by `retry`, proposals keep their
 * places. Any other failure fences the node: it answers nothing more, because it can no longer promise anything.
 */
export class StoreLoop {
  readonly #entryLog: EntryLog;
  readonly #applyLoop: ApplyLoop;
  readonly #peers: PeerSender;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #onFenced: (cause: Error) => void;
  readonly #turnEntries: Histogram;
  readonly #commitSeconds: Histogram;
  readonly #turns: Counter;
  #dirty: Replica[] = [];
  #running = false;
  #scheduled = false;
  #held: Turn | undefined;
  #fenced: Error | undefined;
  readonly #begin = (): void => {
    this.#scheduled = false;
    void this.#run();
  };

  constructor(options: {
    entryLog: EntryLog;
    applyLoop: ApplyLoop;
    peers: PeerSender;
    clock: Clock;
    logger: Logger;
    metrics: Metrics;
    onFenced: (cause: Error) => void;
  }) {
    this.#entryLog = options.entryLog;
    this.#applyLoop = options.applyLoop;
    this.#peers = options.peers;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#onFenced = options.onFenced;
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

  /** True while a full disk holds a turn back. */
  get full(): boolean {
    return this.#held !== undefined;
  }

  /** The group has something to do. Called any number of times a turn. */
  wake(replica: Replica): void {
    if (!replica.queued) {
      replica.queued = true;
      this.#dirty.push(replica);
    }
    if (!this.#running && !this.#scheduled && this.#fenced === undefined) {
      this.#scheduled = true;
      setImmediate(this.#begin);
    }
  }

  /** Tries a held turn again; called on the host's tick. */
  retry(): void {
    if (this.#held === undefined || this.#running || this.#scheduled || this.#fenced !== undefined) return;
    this.#scheduled = true;
    setImmediate(this.#begin);
  }

  /** Resolves when no turn is in flight. */
  async idle(): Promise<void> {
    while (this.#running || this.#scheduled) await new Promise((resolve) => setImmediate(resolve));
  }

  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    try {
      let turn = this.#held ?? this.#gather();
      while (turn !== undefined) {
        if (!(await this.#persist(turn))) break;
        turn = this.#gather();
      }
    } catch (cause) {
      this.#fence(cause as Error);
    } finally {
      this.#running = false;
    }
  }

  #gather(): Turn | undefined {
    const replicas = this.#dirty;
    if (replicas.length === 0) return undefined;
    this.#dirty = [];
    const turn: Turn = {
      writes: [],
      persisted: [],
      afterPersist: [],
      startedMs: this.#clock.monotonicMs(),
      entries: 0,
    };
    for (const replica of replicas) {
      replica.queued = false;
      if (replica.stopped !== undefined) continue;
      this.#collect(replica, turn);
    }
    return turn;
  }

  #collect(replica: Replica, turn: Turn): void {
    if (!replica.raft.hasReady()) return;
    const ready = replica.raft.ready();
    if (ready.messages.length > 0) this.#peers.send(replica, ready.messages);
    if (ready.entries.length > 0 || ready.hardState !== undefined) {
      for (const entry of ready.entries) replica.recent.set(entry.index, entry);
      turn.writes.push({ groupId: replica.groupId, hardState: ready.hardState, entries: ready.entries });
      turn.entries += ready.entries.length;
      const last = ready.entries.at(-1);
      if (last !== undefined) turn.persisted.push({ replica, term: last.term, index: last.index });
    }
    if (ready.messagesAfterPersist.length > 0) {
      turn.afterPersist.push({ replica, messages: ready.messagesAfterPersist });
    }
    if (ready.committed.last >= ready.committed.first) this.#applyLoop.commit(replica, ready.committed.last);
    this.#applyLoop.leadershipMayHaveMoved(replica);
  }

  /** False when the disk is full and the turn is held. */
  async #persist(turn: Turn): Promise<boolean> {
    if (turn.writes.length > 0) {
      try {
        await this.#entryLog.append(turn.writes);
      } catch (cause) {
        if (!(cause instanceof SluiceError) || cause.code !== 'ENTRY_LOG_FULL') throw cause;
        if (this.#held === undefined) {
          this.#logger.error({ err: cause }, 'the disk is full: publishes are refused until space returns');
        }
        this.#held = turn;
        return false;
      }
      if (this.#held === turn) this.#logger.info({}, 'the disk has space again: what was held back is written');
      this.#held = undefined;
      this.#turns.add();
      this.#turnEntries.observe(turn.entries);
      this.#commitSeconds.observe((this.#clock.monotonicMs() - turn.startedMs) / 1000);
    }
    for (const { replica, messages } of turn.afterPersist) this.#peers.send(replica, messages);
    for (const { replica, term, index } of turn.persisted) {
      replica.raft.persisted(term, index);
      if (replica.raft.hasReady()) this.wake(replica);
    }
    return true;
  }

  #fence(cause: Error): void {
    if (this.#fenced !== undefined) return;
    this.#fenced = cause;
    this.#logger.error({ err: cause }, 'the entry log failed: this node is fenced and acknowledges nothing more');
    this.#onFenced(cause);
  }
}

/** How messages reach the other members of a group. `replica.recent` and the entry log hold the entries they name. */
export interface PeerSender {
  send(replica: Replica, messages: readonly Message[]): void;
}

interface Turn {
  writes: LogWrite[];
  persisted: { replica: Replica; term: number; index: number }[];
  afterPersist: { replica: Replica; messages: Message[] }[];
  startedMs: number;
  entries: number;
}
