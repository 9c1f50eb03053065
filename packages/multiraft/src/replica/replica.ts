import type { Membership } from '@sluice/raft/entry';
import type { RaftGroup } from '@sluice/raft/raft';
import { nameOf } from '../apply/row-batch.ts';
import { appliedKey } from '../disk/keyspace.ts';
import type { GroupListener, GroupMachine } from '../group-machine.ts';
import type { HeldReady } from '../snapshot/snapshot-port.ts';
import { PendingProposals } from './pending-proposals.ts';
import { ReadBarriers } from './read-barriers.ts';
import { RecentEntries } from './recent-entries.ts';
import { keepsPromise, type ReplicaPromise } from './replica-wipe.ts';

/**
 * One group's member on this node: the Raft core, the machine, and what lies between them.
 *
 * Indexes only grow, in this order: handed to the disk, durable, committed, applied. An entry stays in `recent` from
 * the first until the last, so that applying it (and sending it to a peer) reads no disk; what is older comes from the
 * entry log.
 */
export class Replica {
  readonly groupId: number;
  /** Of the row that says how far it is applied: written with every turn of the group. */
  readonly appliedRowName: string;
  readonly raft: RaftGroup;
  /** Replaced when a snapshot is installed, between two batches of the apply loop. */
  machine: GroupMachine<unknown, unknown>;
  /** Makes the machine out of its resident rows. */
  readonly restore: (rows: Iterable<ResidentRow>) => GroupMachine<unknown, unknown>;
  readonly residentRanges: readonly KeyRange[];
  readonly listener: GroupListener<unknown, unknown, unknown>;
  readonly recent = new RecentEntries();
  readonly pending = new PendingProposals();
  readonly reads = new ReadBarriers();
  /** Last index known to be committed and not yet given to the machine ends here. */
  committedIndex: number;
  appliedIndex: number;
  appliedTerm: number;
  /** As of `appliedIndex`, with the index of its entry. What is in force is `raft.membership`. */
  membership: Membership;
  membershipIndex: number;
  /** Whether the listener was told that this node leads. */
  leads = false;
  /** What the listener was told last. */
  toldLeader = 0;
  toldTerm = 0;
  /** This process was paused: it may have been replaced and not know. Until a read barrier says otherwise it serves nothing. */
  unconfirmed = false;
  confirming = false;
  /** Ticks for which proposals have waited since leadership ended. */
  fateTicks = 0;
  /** Set when an entry could not be applied: the group serves nothing more until the cause is removed. */
  stopped: Error | undefined;
  /** The replica cannot be trusted (see `impair`): it hears appends at most, and waits to be wiped. */
  impaired: Error | undefined;
  /** Set from a Ready with a snapshot until it is installed: nothing is applied or written for the group meanwhile. */
  installing: HeldReady | undefined;
  /** The snapshot is in; the rest of its Ready goes into the next turn. */
  installed: HeldReady | undefined;
  /** The group is asked whether it goes on without this replica: it takes nothing, so that it acknowledges nothing meanwhile. */
  deaf = false;
  /** Backups that read it: nothing of it is given back until they are over. */
  exports = 0;
  /** Removed from this node: whatever still refers to it does nothing. */
  removed = false;
  /** Of a replica of this group that was wiped here before; undefined when there was none. */
  promise: ReplicaPromise | undefined;
  /** On the turn's work list already. */
  queued = false;
  /** Waits for the next batch of the apply loop already. */
  listed = false;
  /** Ticks since the log last grew. */
  idleTicks = 0;
  idleIndex = 0;
  /** At the leader: ticks for which proposals have waited while nothing was applied, and where the applied index stands. */
  stalledTicks = 0;
  stalledIndex = 0;
  #seenMembership: Readonly<Membership> | undefined;
  #alone = false;

  constructor(parts: {
    groupId: number;
    raft: RaftGroup;
    machine: GroupMachine<unknown, unknown>;
    restore(rows: Iterable<ResidentRow>): GroupMachine<unknown, unknown>;
    residentRanges: readonly KeyRange[];
    listener: GroupListener<unknown, unknown, unknown>;
    appliedIndex: number;
    appliedTerm: number;
    membership: Membership;
    membershipIndex: number;
  }) {
    this.groupId = parts.groupId;
    this.appliedRowName = nameOf(appliedKey(parts.groupId));
    this.raft = parts.raft;
    this.machine = parts.machine;
    this.restore = parts.restore;
    this.residentRanges = parts.residentRanges;
    this.listener = parts.listener;
    this.committedIndex = parts.appliedIndex;
    this.appliedIndex = parts.appliedIndex;
    this.appliedTerm = parts.appliedTerm;
    this.membership = parts.membership;
    this.membershipIndex = parts.membershipIndex;
  }

  /** This node is the whole group: it hears from nobody, so it needs no ticks once it leads. */
  isAlone(nodeId: number): boolean {
    const { membership } = this.raft;
    if (membership !== this.#seenMembership) {
      this.#seenMembership = membership;
      const { voters, votersOutgoing, learners, learnersNext } = membership;
      const others = votersOutgoing.length + learners.length + learnersNext.length;
      this.#alone = voters.length === 1 && voters[0] === nodeId && others === 0;
    }
    return this.#alone;
  }

  /**
   * Whether it may vote, and campaign. An empty log has promised nothing it could keep to; and what a replica promised that
   * was wiped here, this one must hold first.
   */
  mayVote(): boolean {
    const { raft, promise } = this;
    if (this.impaired !== undefined || raft.lastIndex === 0) return false;
    if (promise === undefined) return true;
    if (!keepsPromise(promise, raft.lastTerm, raft.lastIndex)) return false;
    this.promise = undefined;
    return true;
  }
}

export interface ResidentRow {
  key: Uint8Array;
  value: Uint8Array;
}

/** [from, to) of a machine's own keys. */
export interface KeyRange {
  from: Uint8Array;
  to: Uint8Array;
}
