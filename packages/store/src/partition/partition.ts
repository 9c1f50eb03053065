import { assert } from '@sluice/common/assert';
import { CLOCK_TOLERANCE_MS, type Clock } from '@sluice/common/clock';
import type { Logger } from '@sluice/common/logger';
import type { Prng } from '@sluice/common/prng';
import type { Topology } from '@sluice/meta/topology';
import type { GroupListener } from '@sluice/multiraft/group-machine';
import { stampCommand } from '@sluice/queue/machine/command/command-header';
import type { QueueMachine } from '@sluice/queue/machine/queue-machine';
import { isStream } from '@sluice/queue/session/stream-id';
import type { Membership } from '@sluice/raft/entry';
import type { LateItem } from '@sluice/rpc/contract/consume';
import type { Engine } from '@sluice/storage/engine';
import { EntryDemand } from '../dispatch/entry-demand.ts';
import { type DispatchEvents, PartitionDispatches } from '../dispatch/partition-dispatches.ts';
import type { PumpTurn } from '../dispatch/pump-turn.ts';
import type { QueueDispatch } from '../dispatch/queue-dispatch.ts';
import { encodePartitionCommand, type PartitionCommand } from '../machine/partition-command.ts';
import type { PartitionEffect, PartitionMachine, PartitionReply } from '../machine/partition-machine.ts';
import { IndexReader } from '../read/index-reader.ts';
import type { RecordReader } from '../read/record-reader.ts';
import type { Turnstile } from '../read/turnstile.ts';
import { PartitionSessions } from '../session/partition-sessions.ts';
import type { WillsParts } from '../session/partition-wills.ts';
import type { StreamEffect } from '../session/stream-changes.ts';
import { SettleBacklog } from '../settle/settle-backlog.ts';
import { SettleBatcher } from '../settle/settle-batcher.ts';
import { type BegunOnce, RowDropper } from '../sweep/row-dropper.ts';
import type { PartitionHost } from './partition-host.ts';
import type { DropReason, Proposal, ProposeOutcome } from './proposal.ts';
import { RemovedQueues } from './removed-queues.ts';
import { Resumption } from './resumption.ts';

/**
 * One partition on this node: its machine, and, while this node leads it, the dispatch of its queues. Followers keep
 * the machine only; what dispatch knows (who holds what) is soft, and told by the gateways to each new leader
 * (`resumption`).
 *
 * A new leader takes publishes only once it knows the queues of its image (`serves`): a queue that was just created may
 * be known to the former leader alone, and who was told that it exists must not be told that it does not.
 */
export class Partition implements GroupListener<PartitionReply, PartitionEffect, PartitionMachine> {
  readonly groupId: number;
  readonly index: IndexReader;
  readonly settles: SettleBatcher;
  readonly removedQueues = new RemovedQueues();
  readonly dropper: RowDropper;
  readonly sessions: PartitionSessions;
  readonly dispatches: PartitionDispatches;
  readonly demand: EntryDemand;
  readonly #parts: PartitionParts;
  readonly #backlog: SettleBacklog;
  #machine: PartitionMachine | undefined;
  #leads = false;
  #serves = false;
  #isStopped = false;
  /** Leadership is being handed over: nothing new is handed out. */
  #isPaused = false;
  /** The host does not vouch for this leadership: the process stood still, and another may lead by now. Or nobody does for its clock. */
  #isInDoubt = false;
  #leadsSinceMs = 0;
  #leadsTerm = 0;
  #leaderships = 0;
  #resumption: Resumption | undefined;

  /** How soon something is proposed again that the log did not take. */
  static readonly BUSY_RETRY_MS = 20;
  static readonly WRITTEN_MS_MAX = 1000;
  /** How often it is looked whether what was settled is committed, before leadership is handed over. */
  static readonly PAUSE_LOOK_MS = 5;

  constructor(parts: PartitionParts) {
    this.groupId = parts.groupId;
    this.#parts = parts;
    this.index = new IndexReader(parts.engine, parts.groupId, (key) => parts.host.recentRow(parts.groupId, key));
    this.#backlog = new SettleBacklog({
      propose: (command, proposal) => this.propose(command, proposal),
      leads: () => this.#leads,
      onCaughtUp: () => this.#wakeAll(),
    });
    this.settles = new SettleBatcher(
      (command, receipts) => {
        if (this.#leads) this.#backlog.add(command, receipts);
      },
      (flush) => parts.host.withLaterTurn(flush),
    );
    this.dispatches = new PartitionDispatches({
      ...parts,
      index: this.index,
      settles: this.settles,
      isHeldUp: (clock) => this.#isHeldUpBy(clock),
      mayBeHeld: (entryIndex) => this.#resumption?.mayBeHeld(entryIndex) ?? false,
    });
    const demandQueues = {
      state: (queueId: number) => this.queues.queue(queueId),
      nextOffset: (queueId: number) => this.dispatches.get(queueId)?.nextOffset,
    };
    this.demand = new EntryDemand(demandQueues, parts.records.bytesMax);
    this.dropper = new RowDropper(this, parts);
    this.sessions = new PartitionSessions(this, parts);
  }

  get machine(): PartitionMachine {
    assert(this.#machine !== undefined, 'a partition has its machine before anything reaches it');
    return this.#machine;
  }

  set machine(machine: PartitionMachine) {
    this.#machine = machine;
  }

  /** Of its tenants the one whose records are dispatched from here. */
  get queues(): QueueMachine {
    return this.machine.queues;
  }

  get leads(): boolean {
    return this.#leads;
  }

  /** It leads, and knows the queues that its image knows: publishes are taken. */
  get serves(): boolean {
    return this.#serves;
  }

  /** Of the present leadership: what may be with workers of whom nobody has told yet. */
  get resumption(): Resumption | undefined {
    return this.#resumption;
  }

  /** By the monotonic clock; of the present leadership. */
  get leadsSinceMs(): number {
    return this.#leadsSinceMs;
  }

  /**
   * False for a moment after the start of this process, where its clock would move the partition's time far ahead, and nobody
   * has said yet whether it is right: what is stamped is stamped, and what is taken for expired is gone.
   */
  get isTimely(): boolean {
    return this.#isTimely(this.#parts.clock.nowMs());
  }

  #isTimely(nowMs: number): boolean {
    const { isTimeKnown } = this.#parts;
    if (isTimeKnown === undefined || nowMs - this.queues.nowMs <= CLOCK_TOLERANCE_MS) return true;
    return this.isAlone || isTimeKnown();
  }

  /** How often this node has begun to lead it: what was decided in one leadership is nothing to the next. */
  get leaderships(): number {
    return this.#leaderships;
  }

  /** Who leads as far as this node knows; 0 when it does not. */
  get leader(): number {
    return this.#parts.host.leaderOf(this.groupId);
  }

  /** While it leads, of that: the group may be in the next term, led elsewhere, a moment before this node hears that its own is over. */
  get term(): number {
    return this.#leads ? this.#leadsTerm : this.#parts.host.termOf(this.groupId);
  }

  /** Undefined while this replica knows of none. */
  get committedMembership(): { membership: Membership; index: number } | undefined {
    const status = this.#parts.host.status(this.groupId);
    if (status === undefined || status.committedMembership.voters.length === 0) return undefined;
    return { membership: status.committedMembership, index: status.committedMembershipIndex };
  }

  /** By the newest entry of its log, committed or not. */
  get membershipInForce(): Membership | undefined {
    return this.#parts.host.status(this.groupId)?.membership;
  }

  /** An entry of it cannot be applied, or the storage failed: this replica serves nothing more until a restart. */
  get isStopped(): boolean {
    return this.#isStopped || this.#parts.host.failure !== undefined;
  }

  /** No other node is known to have the partition. By its log: one that is stopped may not have applied who belongs to it. */
  get isAlone(): boolean {
    const membership = this.membershipInForce;
    return membership !== undefined && membership.voters.length + membership.votersOutgoing.length === 1;
  }

  /** Stamps the command with the leader's time and proposes it; `proposal` hears of its fate. */
  propose(command: Uint8Array, proposal: Proposal): ProposeOutcome {
    const nowMs = this.#parts.clock.nowMs();
    if (!this.#isTimely(nowMs)) return 'busy';
    stampCommand(command, nowMs);
    return this.#parts.host.propose(this.groupId, command, proposal);
  }

  /**
   * For what is rare: definitions and drops. Resolves with the reply once applied; undefined when this node does not
   * lead any more. While the log takes nothing it waits: nobody else would configure the queue, or drop what is due.
   * While leadership is being handed over it waits too, because it may stay here. One that went and came back is another:
   * what was decided before knows nothing of what others committed meanwhile.
   */
  execute(command: PartitionCommand): Promise<PartitionReply | undefined> {
    const bytes = encodePartitionCommand(command);
    const leadership = this.#leaderships;
    return new Promise((resolve) => {
      const proposal: Proposal = {
        applied: (_index, reply) => resolve(reply),
        dropped: () => resolve(undefined),
      };
      const attempt = (): void => {
        const isLeading = this.#leads && this.#leaderships === leadership;
        const outcome = isLeading ? this.propose(bytes, proposal) : 'unavailable';
        if (outcome === 'busy' || outcome === 'not-leader') setTimeout(attempt, Partition.BUSY_RETRY_MS);
        else if (outcome !== 'proposed') resolve(undefined);
      };
      attempt();
    });
  }

  /** True when this node still led the partition at some moment after the call, as confirmed by a majority. */
  async confirmsLeadership(): Promise<boolean> {
    return this.#leads && (await this.#parts.host.readBarrier(this.groupId)) && this.#leads;
  }

  /**
   * Waits until the rows of everything acknowledged by now can be read, so that whoever publishes and then looks sees
   * it. Not longer than a moment: on a full disk the rows wait for space, and a look must not wait with them. False when
   * they still do.
   */
  async written(withinMs: number = Partition.WRITTEN_MS_MAX): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), withinMs);
    });
    // A node that failed writes no more rows: what is there is there.
    const written = this.#parts.host.written().then(
      () => true,
      () => true,
    );
    const isWritten = await Promise.race([written, patience]);
    clearTimeout(timer);
    return isWritten;
  }

  /**
   * Before leadership is handed over: hands out nothing more and waits, at most so long, until what was settled is in
   * the log, so that it need not be told again. What consumers hold they go on holding under the next leader.
   */
  async pause(withinMs: number): Promise<void> {
    this.#isPaused = true;
    const { clock } = this.#parts;
    const deadlineMs = clock.monotonicMs() + withinMs;
    while (this.#leads && !this.#isQuiet() && clock.monotonicMs() < deadlineMs) {
      await new Promise((resolve) => setTimeout(resolve, Partition.PAUSE_LOOK_MS));
    }
  }

  /** Leadership stayed, or came back. */
  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#wakeAll();
  }

  applied(index: number, reply: PartitionReply, token: unknown): void {
    (token as Proposal | undefined)?.applied(index, reply);
  }

  dropped(token: unknown, reason: DropReason): void {
    (token as Proposal).dropped(reason);
  }

  effects(effects: readonly PartitionEffect[]): void {
    const moved: StreamEffect[] = [];
    for (const effect of effects) {
      switch (effect.type) {
        case 'appended':
          if (isStream(effect.queueId)) this.sessions.appended(effect.queueId);
          else this.dispatches.appended(effect.queueId, effect.tail);
          break;
        case 'superseded':
          this.dispatches.get(effect.queueId)?.supersede(effect.offset);
          break;
        case 'dropped':
          if (isStream(effect.queueId)) this.sessions.rowsDropped(effect.queueId);
          else this.dispatches.get(effect.queueId)?.rowsDropped();
          break;
        case 'entry-dead':
          this.#parts.host.noteDeadBytes(effect.bytes);
          this.#parts.records.forget(this.groupId, effect.index);
          break;
        case 'over-limit':
          if (this.#leads) this.dropper.trim(effect.queueId);
          break;
        case 'queue-removed':
          this.dispatches.queueRemoved(effect.queueId, this.leader);
          if (!isStream(effect.queueId)) this.removedQueues.add(effect.queueId);
          // An empty one is gone with its entry: there is nothing to look for.
          if (this.#leads && this.queues.queue(effect.queueId) !== undefined) this.dropper.sweepRemoved(effect.queueId);
          break;
        case 'entry-live':
          break;
        default:
          this.sessions.effect(effect);
          if (effect.type === 'stream-added' || effect.type === 'stream-removed') moved.push(effect);
      }
    }
    if (moved.length > 0) this.#parts.events.streamsMoved(this, moved);
  }

  leadership(leads: boolean): void {
    if (leads === this.#leads) return;
    this.#leads = leads;
    if (leads) {
      this.#leaderships++;
      this.#leadsSinceMs = this.#parts.clock.monotonicMs();
      this.#leadsTerm = this.#parts.host.termOf(this.groupId);
      // The first entry of its term is applied, and nothing was proposed behind it yet.
      const lastIndex = this.#parts.host.status(this.groupId)?.applied ?? Number.POSITIVE_INFINITY;
      this.#resumption = new Resumption(lastIndex, () => this.#wakeAll());
      // What the former leader had begun and not ended: its effects were told to it alone.
      for (const queue of this.queues.queues()) {
        if (queue.isRemoved) this.dropper.sweepRemoved(queue.queueId);
        else if (queue.overflow === 'drop_oldest' && queue.isOverLimit) this.dropper.trim(queue.queueId);
      }
      this.sessions.leadershipBegan();
    } else this.#endLeadership();
    this.#parts.events.leadershipMoved(this);
  }

  /** The queues of the newest image are known here. */
  configured(): void {
    if (!this.#leads || this.#serves) return;
    this.#serves = true;
    this.#parts.events.serving(this);
  }

  leaderMoved(): void {
    this.#parts.events.moved(this);
  }

  membershipMoved(): void {
    this.#parts.events.moved(this);
  }

  /** A snapshot replaced the machine: what was read by the former one's rows means nothing any more. */
  restored(machine: PartitionMachine): void {
    this.#machine = machine;
    this.#endLeadership();
    this.#parts.records.forgetGroup(this.groupId);
  }

  stopped(): void {
    this.#isStopped = true;
    this.#parts.events.moved(this);
  }

  /** This node has given its replica up, or stops. */
  close(): void {
    this.leadership(false);
    this.#parts.records.forgetGroup(this.groupId);
  }

  /** The log knows that the queue is no more, whether or not something is left of it. */
  hasRemoved(queueId: number): boolean {
    return this.removedQueues.has(queueId) || this.queues.queue(queueId)?.isRemoved === true;
  }

  /** The dispatch of a queue, made when its first consumer comes. Undefined while this node does not lead. */
  dispatchFor(queueId: number): QueueDispatch | undefined {
    if (!this.#leads) return undefined;
    return this.dispatches.get(queueId) ?? this.dispatches.begin(queueId, this.queues.queue(queueId));
  }

  /** Queues that hold records or have had a consumer in this leadership. Some twice. */
  *busyQueueIds(): Iterable<number> {
    for (const { queueId } of this.queues.filledQueues()) yield queueId;
    yield* this.dispatches.queueIds();
  }

  /** Accepted by somebody whom this leader does not know as its holder. */
  acceptLate({ queueId, rowBase, offset }: LateItem): void {
    if (this.queues.queue(queueId) !== undefined && !this.hasRemoved(queueId))
      this.dispatchFor(queueId)?.acceptLate(rowBase, offset);
  }

  /** A majority confirmed that this node leads after all, after it stood still: called now and then. */
  tick(): void {
    this.sessions.tick();
    this.dropper.tick();
    if (!this.#isInDoubt || !this.#parts.host.leads(this.groupId) || !this.isTimely) return;
    this.#isInDoubt = false;
    this.#wakeAll();
  }

  get isHeldUp(): boolean {
    return this.#isHeldUpBy(this.#parts.clock);
  }

  #isHeldUpBy(clock: Pick<Clock, 'nowMs'>): boolean {
    if (this.#isPaused || this.#backlog.isBehind) return true;
    this.#isInDoubt = !this.#parts.host.leads(this.groupId) || !this.#isTimely(clock.nowMs());
    return this.#isInDoubt;
  }

  #isQuiet(): boolean {
    this.settles.flush();
    return !this.dispatches.isAnyPumping && this.#backlog.isEmpty;
  }

  #endLeadership(): void {
    this.#serves = false;
    this.dropper.stop();
    this.#resumption?.stop();
    this.#resumption = undefined;
    this.settles.clear();
    this.#backlog.clear();
    this.sessions.leadershipEnded();
    this.dispatches.leadershipEnded(this.leader);
  }

  #wakeAll(): void {
    this.sessions.wakeAll();
    this.dispatches.wakeAll();
  }
}

export interface PartitionEvents extends DispatchEvents {
  /** Leadership of this node began or ended. */
  leadershipMoved(partition: Partition): void;
  /** Publishes are taken from now on. */
  serving(partition: Partition): void;
  /** Its leader, its membership or its state is another. */
  moved(partition: Partition): void;
  /** So many messages were dropped from a stream at its bounds. */
  streamOverflowed(count: number): void;
  /** Records that should go could not be looked at; it is tried again. */
  dropFailed(reason: BegunOnce): void;
  /** Streams came or went. */
  streamsMoved(partition: Partition, effects: readonly StreamEffect[]): void;
}

export interface PartitionParts {
  groupId: number;
  host: PartitionHost;
  engine: Engine;
  records: RecordReader;
  /** In which the queues of all partitions here are pumped. */
  turn: PumpTurn;
  topology: Topology;
  clock: Clock;
  prng: Prng;
  logger: Logger;
  wills: Pick<WillsParts, 'gateways' | 'counted'>;
  expiries: Turnstile;
  events: PartitionEvents;
  isTimeKnown?: (() => boolean) | undefined;
}
