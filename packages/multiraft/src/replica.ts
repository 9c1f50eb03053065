import type { Entry } from '@sluice/raft/entry';
import type { RaftGroup } from '@sluice/raft/raft';
import type { GroupListener, GroupMachine } from './group-machine.ts';
import { PendingProposals } from './pending-proposals.ts';

/**
 * One group's member on this node: the Raft core, the machine, and what lies between them.
 *
 * Indexes only grow, in this order: handed to the disk, durable, committed, applied. An entry stays in `recent` from
 * the first until the last, so that applying it (and sending it to a peer) reads no disk; what is older comes from the
 * entry log. The bytes in `recent` are bounded by Raft's own bound on uncommitted bytes.
 */
export class Replica {
  readonly groupId: number;
  readonly raft: RaftGroup;
  readonly machine: GroupMachine<unknown, unknown>;
  readonly listener: GroupListener<unknown, unknown>;
  readonly recent = new Map<number, Entry>();
  readonly pending = new PendingProposals();
  /** Last index known to be committed and not yet given to the machine ends here. */
  committedIndex: number;
  appliedIndex: number;
  appliedTerm: number;
  /** Whether the listener was told that this node leads. */
  leads = false;
  /** Set when an entry could not be applied: the group serves nothing more until the cause is removed. */
  stopped: Error | undefined;
  /** This node alone decides: it hears from nobody, so it needs no ticks once it leads. */
  soleVoter = false;
  /** On the turn's work list already. */
  queued = false;

  constructor(parts: {
    groupId: number;
    raft: RaftGroup;
    machine: GroupMachine<unknown, unknown>;
    listener: GroupListener<unknown, unknown>;
    appliedIndex: number;
    appliedTerm: number;
  }) {
    this.groupId = parts.groupId;
    this.raft = parts.raft;
    this.machine = parts.machine;
    this.listener = parts.listener;
    this.committedIndex = parts.appliedIndex;
    this.appliedIndex = parts.appliedIndex;
    this.appliedTerm = parts.appliedTerm;
    this.membershipMoved();
  }

  /** After a change of membership was applied, and at the start. */
  membershipMoved(): void {
    const { peerId, membership } = this.raft.status();
    const { voters, votersOutgoing } = membership;
    this.soleVoter = voters.length === 1 && voters[0] === peerId && votersOutgoing.length === 0;
  }
}
