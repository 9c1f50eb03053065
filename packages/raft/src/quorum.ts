import type { Membership } from './entry.ts';

/**
 * What a majority agrees on. In a joint membership both majorities must agree (thesis 4.3), so the result is the
 * smaller index, or the worse vote. An empty half agrees with everything: it is how a membership that is not joint
 * is told to the same functions. Peers that are not voters are never asked, whatever they answered.
 */
export type VoteResult = 'won' | 'lost' | 'pending';

/** The highest index that a majority of `membership` has reached; Infinity without any voter. */
export function quorumIndex(membership: Membership, reached: (peer: number) => number): number {
  const incoming = majorityIndex(membership.voters, reached);
  if (membership.votersOutgoing.length === 0) return incoming;
  return Math.min(incoming, majorityIndex(membership.votersOutgoing, reached));
}

/** `votes` holds true or false for who has answered. */
export function quorumVotes(membership: Membership, votes: ReadonlyMap<number, boolean>): VoteResult {
  const incoming = majorityVotes(membership.voters, votes);
  const outgoing = majorityVotes(membership.votersOutgoing, votes);
  if (incoming === 'lost' || outgoing === 'lost') return 'lost';
  return incoming === 'won' && outgoing === 'won' ? 'won' : 'pending';
}

function majorityIndex(voters: readonly number[], reached: (peer: number) => number): number {
  const count = voters.length;
  if (count === 0) return Number.POSITIVE_INFINITY;
  // Insertion sort, highest first: groups are a handful of peers and this runs on every acknowledgement.
  const sorted = new Array<number>(count);
  for (let i = 0; i < count; i++) {
    const index = reached(voters[i] as number);
    let at = i;
    while (at > 0 && (sorted[at - 1] as number) < index) {
      sorted[at] = sorted[at - 1] as number;
      at--;
    }
    sorted[at] = index;
  }
  return sorted[count >> 1] as number;
}

function majorityVotes(voters: readonly number[], votes: ReadonlyMap<number, boolean>): VoteResult {
  if (voters.length === 0) return 'won';
  const majority = (voters.length >> 1) + 1;
  let granted = 0;
  let refused = 0;
  for (const voter of voters) {
    const vote = votes.get(voter);
    if (vote === true) granted++;
    else if (vote === false) refused++;
  }
  if (granted >= majority) return 'won';
  return refused > voters.length - majority ? 'lost' : 'pending';
}
