import { becomeFollower } from './election.ts';
import type { GroupState } from './group-state.ts';
import type { Message } from './message.ts';
import { stepCandidate } from './step-candidate.ts';
import { stepFollower } from './step-follower.ts';
import { stepLeader } from './step-leader.ts';

/**
 * The way in for every message: terms first, then votes, which every role answers alike, then the role.
 *
 * | message's term | what                                                                                          |
 * |----------------|-----------------------------------------------------------------------------------------------|
 * | higher         | (pre-)vote: ignored while a leader is alive here, unless forced by a transfer                 |
 * |                | pre-vote, granted pre-vote: the term is a proposal, nothing changes                           |
 * |                | anything else: follow that term; a message only a leader sends names the leader               |
 * | lower          | leader's message or request: answered with our term, or its sender would never learn it, and  |
 * |                | a group whose majority waits on an old term would never elect anybody                         |
 * |                | answer or timeout-now: dropped; an old acknowledgement must not count for this term           |
 * | equal          | as it is                                                                                      |
 */
export function step(group: GroupState, message: Message): void {
  if (message.to !== group.self || message.from === group.self) return;
  if (message.term > group.term && !enterHigherTerm(group, message)) return;
  if (message.term < group.term) {
    answerLowerTerm(group, message);
    return;
  }
  if (message.type === 'vote' || message.type === 'pre-vote') {
    answerVote(group, message);
    return;
  }
  switch (group.role) {
    case 'leader':
      stepLeader(group, message);
      return;
    case 'candidate':
    case 'pre-candidate':
      stepCandidate(group, message);
      return;
    case 'follower':
      stepFollower(group, message);
  }
}

/** False when the message is to be ignored. */
function enterHigherTerm(group: GroupState, message: Message): boolean {
  switch (message.type) {
    case 'pre-vote':
      return message.force || !hasLiveLeader(group);
    case 'vote':
      if (!message.force && hasLiveLeader(group)) return false;
      becomeFollower(group, message.term, 0);
      return true;
    case 'pre-vote-response':
      if (!message.granted) becomeFollower(group, message.term, 0);
      return true;
    case 'append':
    case 'heartbeat':
    case 'snapshot':
    case 'timeout-now':
      becomeFollower(group, message.term, message.from);
      return true;
    default:
      becomeFollower(group, message.term, 0);
      return true;
  }
}

/** Leader stickiness (thesis 4.2.3): who hears a leader does not help to replace it. */
function hasLiveLeader(group: GroupState): boolean {
  const { checkQuorum, preVote, electionTicks } = group.config;
  return (checkQuorum || preVote) && group.leader !== 0 && group.electionElapsed < electionTicks;
}

function answerLowerTerm(group: GroupState, message: Message): void {
  const { self, term, messages } = group;
  const to = message.from;
  switch (message.type) {
    case 'pre-vote':
      messages.push({ type: 'pre-vote-response', from: self, to, term, granted: false });
      return;
    case 'vote':
      messages.push({ type: 'vote-response', from: self, to, term, granted: false });
      return;
    case 'append':
    case 'snapshot': {
      const index = message.type === 'append' ? message.prevIndex : message.snapshot.index;
      messages.push({
        type: 'append-response',
        from: self,
        to,
        term,
        index,
        rejected: true,
        hintIndex: 0,
        hintTerm: 0,
        stint: message.stint,
      });
      return;
    }
    case 'heartbeat':
      messages.push({ type: 'heartbeat-response', from: self, to, term, readContext: 0 });
      return;
    default:
      return;
  }
}

/**
 * Two that ask each other at the same moment would both be told yes, and split the votes. While a lost leader is replaced
 * in a hurry, one of two equals says no: which, alternates with the term. Only then, because the one that goes first may be
 * one that cannot win.
 */
function goesFirst(group: GroupState, other: Extract<Message, { type: 'vote' | 'pre-vote' }>): boolean {
  const { self, role, term, log, hurriedElections } = group;
  if (role !== 'pre-candidate' || hurriedElections === 0 || other.term !== term + 1) return false;
  if (other.lastIndex !== log.lastIndex || other.lastTerm !== log.lastTerm()) return false;
  return term % 2 === 0 ? self > other.from : self < other.from;
}

/**
 * Learners answer too: the candidate may know of a promotion that has not reached them. A granted vote leaves after
 * the write that holds it; a pre-vote promises nothing and changes nothing, not even the timer.
 */
function answerVote(group: GroupState, message: Extract<Message, { type: 'vote' | 'pre-vote' }>): void {
  const { self } = group;
  const to = message.from;
  const upToDate = group.log.isUpToDate(message.lastIndex, message.lastTerm);
  if (message.type === 'pre-vote') {
    const granted = message.term > group.term && upToDate && !goesFirst(group, message);
    const term = granted ? message.term : group.term;
    group.messages.push({ type: 'pre-vote-response', from: self, to, term, granted });
    return;
  }
  const free = group.vote === to || (group.vote === 0 && group.leader === 0);
  if (!free || !upToDate) {
    group.messages.push({ type: 'vote-response', from: self, to, term: group.term, granted: false });
    return;
  }
  group.vote = to;
  group.drawPatientTimeout();
  group.messagesAfterPersist.push({ type: 'vote-response', from: self, to, term: group.term, granted: true });
}
