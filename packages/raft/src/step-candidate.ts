import { assert } from '@sluice/common/assert';
import { becomeFollower, settleElection } from './election.ts';
import type { GroupState } from './group-state.ts';
import type { Message } from './message.ts';
import { stepFollower } from './step-follower.ts';

/**
 * | a (pre-)candidate receives              | becomes                                                      |
 * |-----------------------------------------|--------------------------------------------------------------|
 * | the answers of a majority, granted      | pre-candidate -> candidate of the next term; candidate -> leader |
 * | the answers of a majority, refused      | follower of the same term, its vote kept                     |
 * | a message of this term's leader         | follower of it                                               |
 *
 * A pre-vote answer never counts as a vote, nor the other way round: each kind is heard only in its own role.
 */
export function stepCandidate(group: GroupState, message: Message): void {
  switch (message.type) {
    case 'pre-vote-response':
      // Granted ones carry the term that was proposed; refused ones of our own term are answers too.
      if (group.role !== 'pre-candidate' || message.term !== group.term + (message.granted ? 1 : 0)) return;
      group.votes.set(message.from, message.granted);
      settleElection(group);
      return;
    case 'vote-response':
      if (group.role !== 'candidate') return;
      group.votes.set(message.from, message.granted);
      // Somebody else stands, or has the longer log: in a hurry there is nothing to be patient for.
      if (!message.granted && group.hurriedElections > 0) group.drawElectionTimeout();
      settleElection(group);
      return;
    case 'append':
    case 'heartbeat':
    case 'snapshot':
      becomeFollower(group, message.term, message.from);
      stepFollower(group, message);
      return;
    case 'timeout-now':
      stepFollower(group, message);
      return;
    default:
      assert(message.term === group.term, 'terms were compared before the role was asked');
  }
}
