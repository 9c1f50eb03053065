import { SluiceError } from '@sluice/common/errors';
import type { Counter } from '@sluice/common/metrics';
import type { HardState, SnapshotMeta } from '@sluice/raft/entry';
import type { SnapshotAnswer, SnapshotChunk } from '@sluice/rpc/contract/raft-snapshot';
import type { Channel } from '@sluice/rpc/transport';
import { SHORTAGE_TEXTS, shortageOf } from '@sluice/storage/shortage';
import { whenRoom } from '../disk/when-room.ts';
import { readResidentRows } from '../replica/group-loader.ts';
import type { Replica } from '../replica/replica.ts';
import { carryOut, type Installation, noteInstallation } from './snapshot-install.ts';
import { refused, SnapshotIntake } from './snapshot-intake.ts';
import type { SnapshotHost } from './snapshot-port.ts';
import { SnapshotSender } from './snapshot-sender.ts';

/**
 * The follower's half: at most one snapshot a group at a time, written beside the replica while that goes on as it is,
 * and given to the core only when all of it is durable here. The core decides whether it still wants it; if so, it is
 * installed.
 *
 * | state      | meaning                                            | ends with                                      |
 * |------------|----------------------------------------------------|------------------------------------------------|
 * | receiving  | chunks arrive                                      | `end`, a newer transfer, a closed channel      |
 * | taken      | the core took it                                   | `install`; the replica is removed before       |
 * | installing | there is no way back                               | the end of it                                  |
 * | ended      | files removed, or become the replica's             |                                                |
 *
 * A snapshot of a leader that was replaced is refused, by term, and one of the present leader pushes out that of an
 * earlier one. What is not newer than the replica is answered `done` without being looked at.
 */
export class SnapshotReceiver {
  readonly #host: SnapshotHost;
  readonly #freeBytes: () => Promise<number>;
  readonly #arriving = new Map<number, Arrival>();
  /** All that still touch files. */
  readonly #busy = new Set<Arrival>();
  readonly #receivedBytes: Counter;
  readonly #installed: Counter;
  readonly #refusedCount: Counter;
  #number = 0;
  #tick = 0;
  #closing = false;
  #spaceWaiters: (() => void)[] = [];

  /** Groups that receive at a time; others are refused, and asked again by their leaders. */
  static readonly ARRIVALS_MAX = 4;
  /** A sender that does not keep its window must not fill the memory. */
  static readonly QUEUED_CHUNKS_MAX = 2 * SnapshotSender.WINDOW_CHUNKS;
  /** A sender that says nothing for a minute is gone. */
  static readonly SILENT_TICKS_MAX = 600;
  /** How often the sender hears that this node lives, also while the end is worked on. */
  static readonly SIGN_TICKS = 10;
  static readonly SPACE_TICKS = 10;

  constructor(host: SnapshotHost, freeBytes: () => Promise<number>) {
    this.#host = host;
    this.#freeBytes = freeBytes;
    const { metrics } = host;
    this.#receivedBytes = metrics.counter(
      'sluice_raft_snapshot_received_bytes_total',
      'Bytes of rows and entries in snapshots received',
    );
    const help = 'Snapshots that other members sent to this node, by outcome';
    this.#installed = metrics.counter('sluice_raft_snapshots_received_total', help, { outcome: 'installed' });
    this.#refusedCount = metrics.counter('sluice_raft_snapshots_received_total', help, { outcome: 'refused' });
  }

  accept(channel: Channel<SnapshotAnswer, SnapshotChunk>, from: number): void {
    const arrival: Arrival = {
      channel,
      from,
      state: 'receiving',
      begin: undefined,
      replica: undefined,
      intake: undefined,
      tail: Promise.resolve(),
      queued: 0,
      chunks: 0,
      silentTicks: 0,
    };
    this.#busy.add(arrival);
    channel.onMessage((chunk) => this.#queue(arrival, chunk));
    channel.onClose(() => this.#cancel(arrival, 'the channel closed'));
  }

  tick(): void {
    this.#tick++;
    if (this.#tick % SnapshotReceiver.SPACE_TICKS === 0) {
      const waiters = this.#spaceWaiters;
      this.#spaceWaiters = [];
      for (const wake of waiters) wake();
    }
    for (const arrival of this.#busy) {
      const { state, channel, chunks } = arrival;
      if (this.#tick % SnapshotReceiver.SIGN_TICKS === 0) channel.send({ type: 'received', chunks });
      if (state === 'receiving' && ++arrival.silentTicks > SnapshotReceiver.SILENT_TICKS_MAX) {
        this.#cancel(arrival, 'the sender said nothing for too long');
      }
    }
  }

  /** Ends what arrives for the group, or all; resolves when no file of it is touched any more. */
  async abandon(groupId: number | undefined): Promise<void> {
    if (groupId === undefined) this.#closing = true;
    const ending: Promise<void>[] = [];
    for (const arrival of this.#busy) {
      if (groupId !== undefined && arrival.begin?.groupId !== groupId) continue;
      // Its replica comes to no further turn.
      if (groupId !== undefined && arrival.state === 'taken') this.#end(arrival);
      this.#cancel(arrival, 'the replica is removed from this node');
      ending.push(arrival.tail);
    }
    for (const wake of this.#spaceWaiters) wake();
    await Promise.all(ending);
  }

  async install(replica: Replica, snapshot: SnapshotMeta, hardState: HardState | undefined): Promise<void> {
    const arrival = this.#arriving.get(replica.groupId);
    const { begin, intake } = arrival ?? {};
    const fits = begin?.snapshot.index === snapshot.index && begin.snapshot.term === snapshot.term;
    if (arrival === undefined || intake === undefined || !fits || arrival.replica !== replica) {
      throw new SluiceError(
        'SNAPSHOT_MISSING',
        `a snapshot at index ${snapshot.index} is to be installed, and is not here`,
      );
    }
    if (replica.removed) {
      this.#end(arrival);
      throw refused('the replica was removed meanwhile');
    }
    // The node stops: who waits for what was begun has looked, and the files are leftovers for the next start.
    if (this.#closing) await stopping();
    arrival.state = 'installing';
    const work = this.#install(replica, intake, begin.snapshot, hardState ?? this.#hardStateFor(replica, snapshot));
    arrival.tail = work.then(
      () => {},
      () => {},
    );
    let over = false;
    try {
      over = await work;
    } finally {
      this.#forget(arrival);
      if (!over) arrival.channel.close();
    }
    // The note that stands makes the next start carry it out, so this is no end to report.
    if (!over) await stopping();
    this.#installed.add();
    arrival.channel.send({ type: 'done' });
    arrival.channel.close();
  }

  /** False when the node stops before the end. */
  async #install(
    replica: Replica,
    intake: SnapshotIntake,
    { index, term, membership }: SnapshotMeta,
    hardState: HardState,
  ): Promise<boolean> {
    const { storage, applyLoop, imageKeeper, logger } = this.#host;
    const { groupId } = replica;
    const { incoming, spool } = intake;
    const installation: Installation = { groupId, index, term, membership, hardState, incoming, spool };
    const waitForSpace = (cause: unknown): Promise<void> => this.#waitForSpace(groupId, cause);
    try {
      await whenRoom(() => noteInstallation(storage, installation), waitForSpace);
      await applyLoop.betweenBatches(() => {});
      // Also as a whole, of which every step may be done twice: a list of files wants a descriptor as well.
      await whenRoom(() => carryOut(storage, installation, waitForSpace), waitForSpace);
      imageKeeper.forget(groupId);
      const { residentRanges } = replica;
      const rows = await whenRoom(() => readResidentRows(storage, groupId, residentRanges), waitForSpace);
      const machine = replica.restore(rows);
      await applyLoop.betweenBatches(() => {
        if (!replica.removed) applyLoop.replaceState(replica, machine, { index, term }, { membership, index });
      });
    } catch (cause) {
      if (this.#closing || isEndOfLog(cause)) return false;
      throw cause;
    }
    logger.info({ group: groupId, index, bytes: intake.bytes }, 'snapshot installed');
    return true;
  }

  #hardStateFor({ groupId, raft }: Replica, { index }: SnapshotMeta): HardState {
    const { vote } = this.#host.storage.entryLog.groups.get(groupId)?.hardState ?? { vote: 0 };
    return { term: raft.term, vote, commit: index };
  }

  async #waitForSpace(groupId: number, cause: unknown): Promise<void> {
    this.#host.logger.warn(
      { group: groupId, err: cause },
      'the installation of a snapshot waits for space or a file descriptor',
    );
    if (!this.#closing) await new Promise<void>((resolve) => this.#spaceWaiters.push(resolve));
    if (this.#closing) throw new SluiceError('NODE_CLOSING', 'the node stops');
  }

  #queue(arrival: Arrival, chunk: SnapshotChunk): void {
    if (arrival.state !== 'receiving') return;
    arrival.silentTicks = 0;
    if (++arrival.queued > SnapshotReceiver.QUEUED_CHUNKS_MAX) {
      this.#cancel(arrival, 'the sender does not keep its window');
      return;
    }
    arrival.tail = arrival.tail.then(() => this.#handle(arrival, chunk));
  }

  async #handle(arrival: Arrival, chunk: SnapshotChunk): Promise<void> {
    if (arrival.state !== 'receiving') return;
    try {
      await this.#take(arrival, chunk);
    } catch (cause) {
      if (arrival.state === 'receiving') {
        this.#host.logger.warn(
          { err: cause, group: arrival.begin?.groupId, from: arrival.from },
          'a snapshot is refused',
        );
        const shortage = shortageOf(cause);
        this.#cancel(arrival, shortage === undefined ? (cause as Error).message : SHORTAGE_TEXTS[shortage]);
      }
    }
    arrival.queued--;
    arrival.chunks++;
    if (arrival.state === 'receiving') arrival.channel.send({ type: 'received', chunks: arrival.chunks });
  }

  async #take(arrival: Arrival, chunk: SnapshotChunk): Promise<void> {
    const { intake } = arrival;
    if (chunk.type === 'begin') {
      await this.#begin(arrival, chunk);
      return;
    }
    if (intake === undefined) throw refused('a snapshot begins with its header');
    const before = intake.bytes;
    if (chunk.type === 'rows') await intake.rows(chunk.rows, chunk.crc);
    else if (chunk.type === 'entries') await intake.entries(chunk.entries, chunk.crc);
    else {
      await intake.finish(chunk.rows, chunk.entries);
      this.#offer(arrival);
    }
    this.#receivedBytes.add(intake.bytes - before);
  }

  async #begin(arrival: Arrival, begin: Begin): Promise<void> {
    if (arrival.begin !== undefined) throw refused('a channel carries one snapshot');
    const { groupId, snapshot } = begin;
    if (begin.to !== this.#host.nodeId || begin.from !== arrival.from)
      throw refused('the snapshot is not for this node');
    const replica = this.#check(begin, this.#host.replica(groupId));
    if (replica === undefined) {
      this.#finish(arrival);
      return;
    }
    const other = this.#arriving.get(groupId);
    if (other !== undefined) {
      const isLate = other.state === 'taken' || other.state === 'installing';
      if (isLate || (other.begin?.term ?? 0) > begin.term) throw refused('another snapshot arrives');
      this.#cancel(other, 'another snapshot of the group arrives');
      await other.tail;
      // Again: the other one may have ended well in between.
      if (this.#check(begin, this.#host.replica(groupId)) === undefined) {
        this.#finish(arrival);
        return;
      }
    }
    if (this.#arriving.has(groupId)) throw refused('another snapshot arrives');
    if (this.#arriving.size >= SnapshotReceiver.ARRIVALS_MAX) throw refused('too many snapshots arrive here');
    if (arrival.state !== 'receiving') return;
    this.#arriving.set(groupId, arrival);
    arrival.begin = begin;
    arrival.replica = replica;
    arrival.intake = new SnapshotIntake(this.#host.storage, groupId, snapshot, ++this.#number, this.#freeBytes);
  }

  /** Undefined when the replica has as much already. */
  #check({ term, groupId, snapshot, from, to, stint }: Begin, replica: Replica | undefined): Replica | undefined {
    if (replica === undefined || replica.removed) throw refused('this node has no replica of the group');
    if (replica.impaired !== undefined) throw refused('the replica is impaired and must be wiped first');
    if (replica.stopped !== undefined) throw refused('the group stopped on this node');
    const { raft } = replica;
    if (term === raft.term && raft.role === 'leader') throw refused('this node leads that term');
    if (term < raft.term) throw refused(`term ${term} is over, it is ${raft.term} here`);
    if (snapshot.membership.voters.length === 0) throw refused('the snapshot names no voter');
    if (snapshot.index <= raft.commit) return undefined;
    if (replica.installing !== undefined || replica.installed !== undefined) throw refused('another one is installed');
    if (this.#host.storage.entryLog.term(groupId, snapshot.index) === snapshot.term) {
      // The log has this entry, hence all before it: it only did not know that they are committed.
      this.#host.step(replica, { type: 'snapshot', from, to, term, stint, snapshot });
      return undefined;
    }
    return replica;
  }

  /** All of it is here: now the core is asked. */
  #offer(arrival: Arrival): void {
    const { begin, replica } = arrival;
    if (begin === undefined || replica === undefined || arrival.state !== 'receiving') return;
    const { groupId, from, to, term, stint, snapshot } = begin;
    if (this.#host.replica(groupId) !== replica) throw refused('the replica was removed meanwhile');
    if (this.#check(begin, replica) === undefined) {
      this.#finish(arrival);
      return;
    }
    this.#host.step(replica, { type: 'snapshot', from, to, term, stint, snapshot });
    // From the moment the core has it, its log begins behind it.
    if (replica.raft.status().firstIndex === snapshot.index + 1) arrival.state = 'taken';
    else if (replica.raft.commit >= snapshot.index) this.#finish(arrival);
    else throw refused('it was not wanted any more');
  }

  /** The replica has what the snapshot has. */
  #finish(arrival: Arrival): void {
    arrival.channel.send({ type: 'done' });
    this.#end(arrival);
  }

  #cancel(arrival: Arrival, reason: string): void {
    if (arrival.state !== 'receiving') return;
    this.#refusedCount.add();
    arrival.channel.send({ type: 'refused', reason });
    this.#end(arrival);
  }

  /** What was written goes when nothing is being written any more. */
  #end(arrival: Arrival): void {
    arrival.state = 'ended';
    arrival.channel.close();
    const { intake } = arrival;
    // A chunk that waits for the disk would wait for ever.
    const discarded = arrival.tail.then(() => intake?.discard());
    arrival.tail = discarded.catch((err: unknown) => {
      this.#host.logger.warn({ err }, 'files of a snapshot could not be removed; the next start does it');
    });
    void arrival.tail.then(() => this.#forget(arrival));
  }

  #forget(arrival: Arrival): void {
    this.#busy.delete(arrival);
    const groupId = arrival.begin?.groupId;
    if (groupId !== undefined && this.#arriving.get(groupId) === arrival) this.#arriving.delete(groupId);
  }
}

/** Never over: the node stops, and nobody is told anything more. */
function stopping(): Promise<never> {
  return new Promise(() => {});
}

type Begin = Extract<SnapshotChunk, { type: 'begin' }>;

interface Arrival {
  readonly channel: Channel<SnapshotAnswer, SnapshotChunk>;
  readonly from: number;
  state: 'receiving' | 'taken' | 'installing' | 'ended';
  begin: Begin | undefined;
  replica: Replica | undefined;
  intake: SnapshotIntake | undefined;
  /** One step after the other. */
  tail: Promise<void>;
  queued: number;
  /** Taken in so far. */
  chunks: number;
  silentTicks: number;
}

/** The log takes no writes any more: that is for the host to notice, and says nothing about the replica. */
function isEndOfLog(cause: unknown): boolean {
  return cause instanceof SluiceError && (cause.code === 'ENTRY_LOG_FENCED' || cause.code === 'ENTRY_LOG_CLOSED');
}
