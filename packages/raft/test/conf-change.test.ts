import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decodeMembership, encodeMembership, enterChange, isJoint, leaveJoint, members } from '../src/conf-change.ts';
import type { Membership } from '../src/entry.ts';

const peers = fc.uniqueArray(fc.integer({ min: 1, max: 8 }), { maxLength: 5 });
const stable = fc.tuple(fc.uniqueArray(fc.integer({ min: 1, max: 8 }), { minLength: 1, maxLength: 5 }), peers).map(
  ([voters, others]): Membership => ({
    voters,
    votersOutgoing: [],
    learners: others.filter((peer) => !voters.includes(peer)),
    learnersNext: [],
  }),
);
const change = fc.record({ addVoters: peers, addLearners: peers, remove: peers });

describe('a membership change', () => {
  test('ends where a plain edit of the two lists would, and is joint exactly when the voters change', () => {
    fc.assert(
      fc.property(stable, change, (from, { addVoters, addLearners, remove }) => {
        const role = new Map<number, string>();
        for (const peer of from.voters) role.set(peer, 'voter');
        for (const peer of from.learners) role.set(peer, 'learner');
        for (const peer of remove) role.delete(peer);
        for (const peer of addLearners) role.set(peer, 'learner');
        for (const peer of addVoters) role.set(peer, 'voter');
        const named = (wanted: string): number[] => [...role.keys()].filter((peer) => role.get(peer) === wanted).sort();
        const entered = enterChange(from, { addVoters, addLearners, remove });
        if (entered === undefined) {
          const same =
            `${[...from.voters].sort()}/${[...from.learners].sort()}` === `${named('voter')}/${named('learner')}`;
          expect(same || named('voter').length === 0).toBe(true);
          return;
        }
        expect(isJoint(entered)).toBe(`${[...from.voters].sort()}` !== `${named('voter')}`);
        const end = isJoint(entered) ? leaveJoint(entered) : entered;
        expect([...end.voters].sort()).toEqual(named('voter'));
        expect([...end.learners].sort()).toEqual(named('learner'));
        expect(end.learnersNext).toEqual([]);
        // Nobody is a learner and a voter at once, not even in between.
        const all = [...new Set([...entered.voters, ...entered.votersOutgoing]), ...entered.learners];
        expect(new Set(all).size).toBe(all.length);
      }),
      { numRuns: 1000, seed: 1 },
    );
  });

  test('survives its encoding', () => {
    fc.assert(
      fc.property(stable, change, (from, wanted) => {
        const membership = enterChange(from, wanted) ?? from;
        expect(decodeMembership(encodeMembership(membership))).toEqual(membership);
        expect(members(membership).size).toBeGreaterThan(0);
      }),
      { numRuns: 300, seed: 2 },
    );
  });

  test('bytes that are no membership raise a typed error', () => {
    for (const bytes of [
      [],
      [2, 0, 0, 0, 0],
      [1, 3, 1],
      [1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    ]) {
      expect(() => decodeMembership(Uint8Array.from(bytes))).toThrow(
        expect.objectContaining({ code: 'BYTES_MALFORMED' }),
      );
    }
  });

  test('the bytes of version 1 never change', () => {
    const membership = { voters: [1, 300], votersOutgoing: [2], learners: [], learnersNext: [7] };
    expect(Buffer.from(encodeMembership(membership)).toString('hex')).toBe('010201ac020102000107');
    expect(decodeMembership(Buffer.from('010201ac020102000107', 'hex'))).toEqual(membership);
  });
});
