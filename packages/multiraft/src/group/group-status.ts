import type { Membership } from '@sluice/raft/entry';
import type { Status } from '@sluice/raft/status';

/** What a node knows of one of its groups, as of now. */
export interface GroupStatus extends Status {
  impaired: Error | undefined;
  /** What was committed and applied here; `membership` is what is in force. */
  committedMembership: Membership;
  committedMembershipIndex: number;
}
