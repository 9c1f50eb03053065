import { copyMembership } from './conf-change.ts';
import type { Membership } from './entry.ts';
import type { GroupState, Role } from './group-state.ts';
import type { ProgressState } from './progress.ts';

/** What an operator or a metric wants to know. Built on request; nothing in it is shared with the group. */
export interface Status {
  peerId: number;
  role: Role;
  term: number;
  vote: number;
  /** 0 while unknown. */
  leader: number;
  commit: number;
  applied: number;
  firstIndex: number;
  lastIndex: number;
  /** Durable at this peer. */
  persistedIndex: number;
  membership: Membership;
  /** Commit state of `membership`: an uncommitted change refuses the next one. */
  membershipIndex: number;
  quiesced: boolean;
  /** Target of a running leadership transfer, or 0. */
  transferee: number;
  uncommittedBytes: number;
  readsPending: number;
  /** At the leader, one for each peer it replicates to, itself included; empty elsewhere. */
  progress: PeerStatus[];
}

export interface PeerStatus {
  peer: number;
  match: number;
  next: number;
  state: ProgressState;
  inflightAppends: number;
  recentlyActive: boolean;
  /** It has answered this leader. */
  answered: boolean;
  /** Index of the snapshot under way: the host must not compact beyond it. 0 for none. */
  pendingSnapshot: number;
}

export function statusOf(group: GroupState): Status {
  const { log, memberships } = group;
  const progress: PeerStatus[] = [];
  for (const [peer, { match, next, state, inflights, recentlyActive, answered, pendingSnapshot }] of group.progress) {
    const inflightAppends = inflights.count;
    progress.push({ peer, match, next, state, inflightAppends, recentlyActive, answered, pendingSnapshot });
  }
  return {
    peerId: group.self,
    role: group.role,
    term: group.term,
    vote: group.vote,
    leader: group.leader,
    commit: log.commit,
    applied: log.applied,
    firstIndex: log.firstIndex(),
    lastIndex: log.lastIndex,
    persistedIndex: log.persistedIndex,
    membership: copyMembership(memberships.latest),
    membershipIndex: memberships.latestIndex,
    quiesced: group.quiesced,
    transferee: group.transferee,
    uncommittedBytes: group.uncommittedBytes,
    readsPending: group.reads.pending,
    progress,
  };
}
