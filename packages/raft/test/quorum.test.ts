import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Membership } from '../src/entry.ts';
import { quorumIndex, quorumVotes } from '../src/quorum.ts';

/** The oracle tries every subset of the voters: slow, and obviously right. */
const peers = fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { minLength: 0, maxLength: 7 });
const joint = fc
  .tuple(peers, peers)
  .map(([voters, votersOutgoing]): Membership => ({ voters, votersOutgoing, learners: [], learnersNext: [] }));
const reachedByPeer = fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 10, maxLength: 10 });
const votesByPeer = fc.array(fc.option(fc.boolean(), { nil: undefined }), { minLength: 10, maxLength: 10 });

function isQuorum(half: readonly number[], agrees: (peer: number) => boolean): boolean {
  return half.length === 0 || 2 * half.filter(agrees).length > half.length;
}

function naiveIndex({ voters, votersOutgoing }: Membership, reached: (peer: number) => number): number {
  for (let index = 10; index >= 0; index--) {
    const has = (peer: number): boolean => reached(peer) >= index;
    if (isQuorum(voters, has) && isQuorum(votersOutgoing, has)) return index;
  }
  return 0;
}

function naiveVotes({ voters, votersOutgoing }: Membership, votes: ReadonlyMap<number, boolean>): string {
  const yes = (peer: number): boolean => votes.get(peer) === true;
  const possible = (peer: number): boolean => votes.get(peer) !== false;
  if (isQuorum(voters, yes) && isQuorum(votersOutgoing, yes)) return 'won';
  return isQuorum(voters, possible) && isQuorum(votersOutgoing, possible) ? 'pending' : 'lost';
}

describe('quorums agree with a model that counts', () => {
  test('the index that both majorities have reached', () => {
    fc.assert(
      fc.property(joint, reachedByPeer, (membership, reachedBy) => {
        const reached = (peer: number): number => reachedBy[peer] as number;
        const index = quorumIndex(membership, reached);
        if (membership.voters.length + membership.votersOutgoing.length === 0) expect(index).toBe(Infinity);
        else expect(index).toBe(naiveIndex(membership, reached));
      }),
      { numRuns: 2000, seed: 1 },
    );
  });

  test('the outcome of an election, decided as early as it can be', () => {
    fc.assert(
      fc.property(joint, votesByPeer, (membership, answers) => {
        const votes = new Map<number, boolean>();
        for (const [peer, answer] of answers.entries()) if (answer !== undefined) votes.set(peer, answer);
        expect(quorumVotes(membership, votes)).toBe(naiveVotes(membership, votes));
      }),
      { numRuns: 2000, seed: 2 },
    );
  });

  test('two majorities of the same membership always meet, and so do a joint one and either of its halves', () => {
    fc.assert(
      fc.property(joint, votesByPeer, votesByPeer, (membership, a, b) => {
        fc.pre(membership.voters.length > 0);
        const yes = (answers: readonly (boolean | undefined)[]): Map<number, boolean> =>
          new Map(answers.flatMap((answer, peer): [number, boolean][] => (answer === true ? [[peer, true]] : [])));
        const left = yes(a);
        const right = yes(b);
        const half = { ...membership, votersOutgoing: [] };
        fc.pre(quorumVotes(membership, left) === 'won' && quorumVotes(half, right) === 'won');
        expect([...left.keys()].some((peer) => right.has(peer))).toBe(true);
      }),
      { numRuns: 500, seed: 3 },
    );
  });
});
