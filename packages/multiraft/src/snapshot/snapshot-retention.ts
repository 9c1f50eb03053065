import type { EntryLog } from '@sluice/storage/entry-log-contract';
import type { Replica } from '../replica/replica.ts';

/**
 * How far a log may be compacted while others need what follows.
 *
 * An image covers the log up to its index, so this node needs nothing before it. But a follower that is a little behind,
 * and one that was just given a snapshot, need the entries after the place where they are; if those are gone, the leader
 * can only send a snapshot again, and under traffic again and again. So the log is kept from the slowest of them, within
 * bounds: beyond those a snapshot is cheaper for everybody. A node that does not lead does not know who is behind; it
 * keeps a short tail, because it may lead next.
 */
export class SnapshotRetention {
  readonly #entryLog: EntryLog;
  readonly #nodeId: number;
  readonly #holds = new Set<LogHold>();
  /** Of this tick: the reclaimer asks once a segment. */
  readonly #floors = new Map<number, number>();

  /** Kept for a member that answers, and for one that is silent and may be back in a moment. */
  static readonly LAG_BYTES_MAX = 64 * 1024 * 1024;
  static readonly SILENT_LAG_BYTES_MAX = 16 * 1024 * 1024;
  static readonly LAG_ENTRIES_MAX = 65_536;
  /** Kept where this node does not lead. */
  static readonly TAIL_BYTES_MAX = 1024 * 1024;
  /** What a transfer may hold back: a log that grows by more while it runs makes it pointless. */
  static readonly HOLD_BYTES_MAX = 1024 * 1024 * 1024;
  /** After a transfer the follower gets this long to catch up with the log. A minute. */
  static readonly HOLD_TICKS_MAX = 600;

  constructor(entryLog: EntryLog, nodeId: number) {
    this.#entryLog = entryLog;
    this.#nodeId = nodeId;
  }

  /** Keeps what follows `index`, from now until `release`, or until a bound is exceeded. */
  hold(replica: Replica, peer: number, index: number): LogHold {
    const hold: LogHold = { replica, peer, index, countedTo: index, bytes: 0, ticksLeft: undefined, ended: false };
    this.#holds.add(hold);
    return hold;
  }

  /** The transfer ended well: held until the follower is past the index. */
  releaseWhenPast(hold: LogHold): void {
    hold.ticksLeft = SnapshotRetention.HOLD_TICKS_MAX;
  }

  release(hold: LogHold): void {
    hold.ended = true;
    this.#holds.delete(hold);
  }

  tick(): void {
    this.#floors.clear();
    for (const hold of this.#holds) {
      const { replica } = hold;
      this.#count(hold);
      const past = hold.ticksLeft !== undefined && this.#isPast(hold);
      const late = hold.ticksLeft !== undefined && --hold.ticksLeft <= 0;
      const large = hold.bytes > SnapshotRetention.HOLD_BYTES_MAX;
      if (past || late || large || replica.removed || replica.raft.role !== 'leader') this.release(hold);
    }
  }

  floor(replica: Replica): number {
    let floor = Number.POSITIVE_INFINITY;
    for (const hold of this.#holds) if (hold.replica === replica) floor = Math.min(floor, hold.index);
    let others = this.#floors.get(replica.groupId);
    if (others === undefined) {
      others = this.#membersFloor(replica);
      this.#floors.set(replica.groupId, others);
    }
    return Math.min(floor, others);
  }

  #membersFloor(replica: Replica): number {
    if (replica.removed || replica.isAlone(this.#nodeId)) return Number.POSITIVE_INFINITY;
    const { LAG_BYTES_MAX, SILENT_LAG_BYTES_MAX, TAIL_BYTES_MAX } = SnapshotRetention;
    if (replica.raft.role !== 'leader') return this.#reach(replica, 0, TAIL_BYTES_MAX).index;
    let floor = Number.POSITIVE_INFINITY;
    for (const { peer, match, recentlyActive } of replica.raft.status().progress) {
      if (peer === this.#nodeId || match >= floor) continue;
      const { index, complete } = this.#reach(replica, match, recentlyActive ? LAG_BYTES_MAX : SILENT_LAG_BYTES_MAX);
      if (complete) floor = index;
    }
    return floor;
  }

  /** From the applied index down to `index`, as far as the bounds and the log reach. */
  #reach(replica: Replica, index: number, bytesMax: number): { index: number; complete: boolean } {
    const { groupId } = replica;
    const first = this.#entryLog.firstIndex(groupId);
    let at = Math.min(replica.appliedIndex, this.#entryLog.lastIndex(groupId));
    const entriesMin = at - SnapshotRetention.LAG_ENTRIES_MAX;
    for (let bytes = 0; at > index; at--) {
      if (at < first || at <= entriesMin) return { index: at, complete: false };
      bytes += this.#entryLog.sizeBytes(groupId, at);
      if (bytes > bytesMax) return { index: at, complete: false };
    }
    return { index: at, complete: true };
  }

  #count(hold: LogHold): void {
    const { groupId } = hold.replica;
    const last = this.#entryLog.lastIndex(groupId);
    hold.countedTo = Math.max(hold.countedTo, this.#entryLog.firstIndex(groupId) - 1);
    while (hold.countedTo < last) hold.bytes += this.#entryLog.sizeBytes(groupId, ++hold.countedTo);
  }

  #isPast({ replica, peer, index }: LogHold): boolean {
    for (const progress of replica.raft.status().progress) {
      if (progress.peer === peer) return progress.match >= index && progress.state === 'replicate';
    }
    return true;
  }
}

export interface LogHold {
  readonly replica: Replica;
  readonly peer: number;
  readonly index: number;
  /** Bytes of the log after the index, counted as it grows. */
  countedTo: number;
  bytes: number;
  /** Set when the transfer is over. */
  ticksLeft: number | undefined;
  /** No longer held. */
  ended: boolean;
}
