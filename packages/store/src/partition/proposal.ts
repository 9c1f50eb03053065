import type { RaftHost } from '@sluice/multiraft/raft-host';
import type { PartitionReply } from '../machine/partition-machine.ts';

export type ProposeOutcome = ReturnType<RaftHost['propose']>;

/** `not-leader`: certainly not stored. The others: it may be. */
export type DropReason = 'not-leader' | 'unknown' | 'unavailable';

/** What a proposer gives along and hears back through. One a batch. */
export interface Proposal {
  applied(index: number, reply: PartitionReply): void;
  dropped(reason: DropReason): void;
}
