import { becomeFollower, campaign } from './election.ts';
import type { GroupState } from './group-state.ts';
import { quorumVotes } from './quorum.ts';
import { sendHeartbeats } from './replication.ts';

/** Time passes in ticks. A quiesced group is not ticked at all: `quiesce` says what wakes it. */
export function tick(group: GroupState): void {
  if (group.quiesced) return;
  if (group.role === 'leader') tickLeader(group);
  else tickElection(group);
}

/** A sole voter waits for nobody, not even for a timeout. */
function tickElection(group: GroupState): void {
  group.electionElapsed++;
  if (group.isSoleVoter()) {
    campaign(group, 'vote');
    return;
  }
  if (group.electionElapsed < group.electionTimeout) return;
  if (group.role === 'candidate' && !isRefused(group)) group.unansweredCandidacies++;
  campaign(group, 'pre-vote');
}

function isRefused({ votes }: GroupState): boolean {
  for (const granted of votes.values()) if (!granted) return true;
  return false;
}

function tickLeader(group: GroupState): void {
  const { electionTicks, heartbeatTicks, checkQuorum } = group.config;
  group.electionElapsed++;
  group.heartbeatElapsed++;
  if (group.transferee !== 0 && ++group.transferElapsed >= electionTicks) group.transferee = 0;
  if (group.electionElapsed >= electionTicks) {
    group.electionElapsed = 0;
    if (checkQuorum && !heardMajority(group)) {
      becomeFollower(group, group.term, 0);
      return;
    }
  }
  if (group.heartbeatElapsed >= heartbeatTicks) sendHeartbeats(group);
}

/** Starts a new period: who is not heard in it does not count at its end. */
function heardMajority(group: GroupState): boolean {
  const heard = new Map<number, boolean>();
  for (const [peer, progress] of group.progress) {
    heard.set(peer, peer === group.self || progress.recentlyActive);
    progress.recentlyActive = false;
  }
  return quorumVotes(group.membership, heard) === 'won';
}
