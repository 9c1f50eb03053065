import { assert } from '@sluice/common/assert';
import { EntryKind } from './entry.ts';
import type { GroupState } from './group-state.ts';
import { quorumVotes } from './quorum.ts';
import { appendOwn, sendHeartbeats } from './replication.ts';

/**
 * Changes of role. What must not happen, and why it does not:
 * - Two votes in one term: the vote is cleared only together with a new term, never by a change of role.
 * - A vote that a crash forgets: requests and granted answers leave after the write that holds the vote.
 * - A rejoining peer that raises the term of a healthy group: it asks first (pre-vote), which changes nothing anywhere.
 * - A candidate that never hears its votes because it stands again too soon, on slow disks for ever: it waits longer each
 *   time, as long as nobody refuses it.
 * - A failed request that postpones the election of a better peer: only a granted vote or a leader resets the timer.
 */
/** After that many without a leader the usual timeouts are back: there may be no majority to be had. */
const HURRIED_ELECTIONS = 4;

export type CampaignKind = 'pre-vote' | 'vote' | 'transfer';

export function campaign(group: GroupState, kind: CampaignKind): void {
  if (group.role === 'leader' || !group.mayCampaign()) return;
  if (group.isSoleVoter()) {
    becomeCandidate(group);
    becomeLeader(group);
    group.silentUntil = group.log.lastIndex;
    return;
  }
  if (group.hurriedElections > 0) group.hurriedElections--;
  if (kind === 'pre-vote' && group.config.preVote) becomePreCandidate(group);
  else becomeCandidate(group);
  requestVotes(group, kind === 'transfer');
}

function becomePreCandidate(group: GroupState): void {
  group.role = 'pre-candidate';
  startElection(group);
  group.drawElectionTimeout();
}

function becomeCandidate(group: GroupState): void {
  group.role = 'candidate';
  group.term++;
  group.vote = group.self;
  startElection(group);
  group.drawPatientTimeout();
}

function startElection(group: GroupState): void {
  group.leader = 0;
  group.votes.clear();
  group.votes.set(group.self, true);
}

function requestVotes(group: GroupState, force: boolean): void {
  const { self, membership, log } = group;
  const asked = new Set([...membership.voters, ...membership.votersOutgoing]);
  const lastIndex = log.lastIndex;
  const lastTerm = log.lastTerm();
  for (const to of asked) {
    if (to === self) continue;
    if (group.role === 'pre-candidate') {
      group.messages.push({ type: 'pre-vote', from: self, to, term: group.term + 1, lastIndex, lastTerm, force });
    } else {
      group.messagesAfterPersist.push({ type: 'vote', from: self, to, term: group.term, lastIndex, lastTerm, force });
    }
  }
}

/** Counts the answers; called after each one. */
export function settleElection(group: GroupState): void {
  switch (quorumVotes(group.membership, group.votes)) {
    case 'won':
      if (group.role === 'candidate') {
        becomeLeader(group);
      } else {
        becomeCandidate(group);
        requestVotes(group, false);
      }
      return;
    case 'lost':
      becomeFollower(group, group.term, 0);
      return;
    case 'pending':
      return;
  }
}

export function becomeFollower(group: GroupState, term: number, leader: number): void {
  assert(term >= group.term, 'a term never goes back');
  if (term > group.term) {
    group.term = term;
    group.vote = 0;
  }
  if (group.role === 'leader') {
    group.drawElectionTimeout();
    group.progress.clear();
    group.reads.clear();
    group.transferee = 0;
    group.uncommittedBytes = 0;
    group.silentUntil = 0;
    group.appendsWanted = false;
  }
  group.role = 'follower';
  group.leader = leader;
  group.quiesced = false;
  group.votes.clear();
  if (leader === 0) return;
  group.unansweredCandidacies = 0;
  group.endHurry();
}

/**
 * The host saw the leader's node go: what would take an election timeout to find out is known now. Nothing that a vote
 * depends on changes, only who is believed to be alive: this peer answers candidates again, and its own timer is short
 * for a few elections. A leader that lives all the same is believed again at its next message, and its other followers,
 * who still hear it, refuse their pre-votes meanwhile.
 */
export function forgetLeader(group: GroupState): boolean {
  if (group.role !== 'follower' || group.leader === 0) return false;
  group.quiesced = false;
  group.leader = 0;
  hurry(group);
  return true;
}

/** Nobody is known to lead and nobody need be waited for, as when the peer has just started. */
export function hurry(group: GroupState): void {
  if (group.role !== 'follower' || group.leader !== 0) return;
  group.hurriedElections = HURRIED_ELECTIONS;
  group.drawElectionTimeout();
}

/** Leadership, or a candidacy, is given up at once; the voter with the longest log is asked to take over. */
export function stepDown(group: GroupState): void {
  if (group.role === 'follower') return;
  let best = 0;
  if (group.role === 'leader') {
    for (const peer of group.membership.voters) {
      if (peer === group.self) continue;
      if (best === 0 || group.reached(peer) > group.reached(best)) best = peer;
    }
    sendHeartbeats(group);
  }
  if (best !== 0) group.messages.push({ type: 'timeout-now', from: group.self, to: best, term: group.term });
  becomeFollower(group, group.term, 0);
}

function becomeLeader(group: GroupState): void {
  const { log } = group;
  group.role = 'leader';
  group.leader = group.self;
  group.votes.clear();
  group.unansweredCandidacies = 0;
  group.endHurry();
  group.electionElapsed = 0;
  group.heartbeatElapsed = 0;
  const own = group.beginStint();
  own.match = log.persistedIndex;
  group.progress.set(group.self, own);
  group.syncProgress();
  for (let index = log.commit + 1; index <= log.lastIndex; index++) group.uncommittedBytes += log.sizeBytes(index);
  // Entries of earlier terms commit only underneath one of this term (thesis 3.6.2): give them one.
  appendOwn(group, EntryKind.NO_OP, [new Uint8Array(0)]);
}
