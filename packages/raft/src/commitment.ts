import { encodeMembership, isJoint, isVoter, leaveJoint } from './conf-change.ts';
import { stepDown } from './election.ts';
import type { GroupState } from './group-state.ts';
import { quorumIndex } from './quorum.ts';
import { appendMembership, sendHeartbeat } from './replication.ts';

/**
 * What a leader does when a majority has the log: move the commit index, and carry a membership change to its end. The
 * leader counts what is durable at itself, not what it wrote, and does not count itself at all once the newest
 * membership has removed it.
 */

/** Only an entry of the own term is committed by counting (thesis 3.6.2, figure 8). */
export function maybeCommit(group: GroupState): boolean {
  const { log } = group;
  const index = quorumIndex(group.membership, group.reached);
  const before = log.commit;
  if (index <= before || log.term(index) !== group.term) return false;
  for (let at = before + 1; at <= index; at++) group.uncommittedBytes -= log.sizeBytes(at);
  log.commitTo(index);
  if (group.memberships.latestIndex > before && group.memberships.latestIndex <= index) membershipCommitted(group);
  else maybeLeaveJoint(group);
  return true;
}

/** Peers that the committed membership has left behind are told so once; a leader among them hands over. */
function membershipCommitted(group: GroupState): void {
  for (const [peer, progress] of group.progress) {
    const { voters, votersOutgoing, learners } = group.membership;
    const stays = voters.includes(peer) || votersOutgoing.includes(peer) || learners.includes(peer);
    if (!stays && peer !== group.self) sendHeartbeat(group, peer, progress);
  }
  if (!isVoter(group.membership, group.self)) {
    stepDown(group);
    return;
  }
  group.syncProgress();
  maybeLeaveJoint(group);
}

/** The second half of a joint change follows by itself, also under a leader that did not start it (thesis 4.3). */
function maybeLeaveJoint(group: GroupState): void {
  if (!isJoint(group.membership) || group.log.commit < group.memberships.latestIndex) return;
  appendMembership(group, encodeMembership(leaveJoint(group.membership)));
}
