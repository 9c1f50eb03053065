import { describe, expect, test } from '@jest/globals';
import { enterChange, isJoint, leaveJoint } from '@sluice/raft/conf-change';
import type { Membership } from '@sluice/raft/entry';
import fc from 'fast-check';
import {
  canDoWithoutSelf,
  type GroupView,
  heirsOf,
  type MembershipStep,
  nextStep,
} from '../../src/placement/membership-step.ts';

function view(self: number, voters: number[], learners: number[], fit: number[] = [...voters, ...learners]): GroupView {
  return { groupId: 0, self, voters, learners, isChanging: false, fit: new Set(fit) };
}

const to = (...replicas: number[]) => ({ replicas, preferredLeader: 0 });
const change = (change: Extract<MembershipStep, { type: 'change' }>['change']): MembershipStep => ({
  type: 'change',
  change,
});

test('a leader whose log is damaged is given up only where the others can go on, and have everything', () => {
  expect(canDoWithoutSelf(view(1, [1, 2, 3], []))).toBe(true);
  expect(canDoWithoutSelf(view(1, [1, 2, 3], [], [1, 2]))).toBe(false);
  expect(canDoWithoutSelf(view(1, [1, 2], []))).toBe(false);
  expect(canDoWithoutSelf(view(1, [1], [2]))).toBe(false);
  expect(canDoWithoutSelf({ ...view(1, [1, 2, 3], []), isChanging: true })).toBe(false);
});

describe('the next step of a membership', () => {
  test.each<[string, GroupView, ReturnType<typeof to>, MembershipStep | undefined]>([
    ['nothing, where it shall be', view(1, [1, 2, 3], []), to(3, 1, 2), undefined],
    ['nothing, before it is placed', view(1, [1, 2, 3], [4]), to(), undefined],
    ['who is missing learns', view(1, [1], []), to(1, 2, 3), change({ addLearners: [2, 3], remove: [] })],
    ['who is not wanted learns no more', view(1, [1], [4]), to(1), change({ addLearners: [], remove: [4] })],
    ['a newcomer that is behind is waited for', view(1, [1], [2, 3], [1, 2]), to(1, 2, 3), undefined],
    ['newcomers vote together', view(1, [1], [2, 3]), to(1, 2, 3), change({ addVoters: [2, 3], remove: [] })],
    ['one replaces another', view(1, [1, 2, 3], [4]), to(1, 2, 4), change({ addVoters: [4], remove: [3] })],
    [
      'the dead one is replaced first, by who is there',
      view(1, [1, 2, 3], [4, 5], [1, 2, 4]),
      to(1, 4, 5),
      change({ addVoters: [4], remove: [3] }),
    ],
    ['a group shrinks at once', view(1, [1, 2, 3], []), to(1), change({ addVoters: [], remove: [2, 3] })],
    ['but not to a majority that is not there', view(1, [1, 2, 3], [], [1, 3]), to(1, 2), undefined],
    ['a leader that goes hands over', view(1, [1, 2, 3], [4]), to(2, 3, 4), { type: 'hand-over', heirs: [2, 3] }],
    ['not to one that is behind', view(1, [1, 2, 3], [4], [1, 3, 4]), to(2, 3, 4), { type: 'hand-over', heirs: [3] }],
    ['a leader nobody can follow makes its heirs', view(1, [1], [2]), to(2), change({ addVoters: [2], remove: [] })],
    [
      'and lets the others go that do',
      view(1, [1, 2, 3], [4, 5, 6]),
      to(4, 5, 6),
      change({ addVoters: [4, 5, 6], remove: [2, 3] }),
    ],
  ])('%s', (_name, group, target, expected) => {
    expect(nextStep(group, target)).toEqual(expected);
  });

  test('the preferred leader is the first heir', () => {
    const target = { replicas: [2, 3, 4], preferredLeader: 3 };
    expect(nextStep(view(1, [1, 2, 3], [4]), target)).toEqual({ type: 'hand-over', heirs: [3, 2] });
  });

  test('what one store leads goes to all that are left', () => {
    const heirs = [1, 2, 3, 4].map((groupId) => heirsOf({ ...view(1, [1, 2, 3], []), groupId }, to(1, 2, 3))[0]);
    expect(heirs.sort()).toEqual([2, 2, 3, 3]);
  });

  test('waits for the end of a change', () => {
    expect(nextStep({ ...view(1, [1], []), isChanging: true }, to(1, 2))).toBeUndefined();
  });
});

const NODES = [1, 2, 3, 4, 5, 6, 7];
const some = (min: number): fc.Arbitrary<number[]> => fc.subarray(NODES, { minLength: min, maxLength: 5 });

interface Group {
  self: number;
  membership: Membership;
}

const group = fc.tuple(some(1), some(0), fc.nat()).map(([voters, others, leader]): Group => {
  const learners = others.filter((node) => !voters.includes(node));
  const membership = { voters, votersOutgoing: [], learners, learnersNext: [] };
  return { self: voters[leader % voters.length] as number, membership };
});

function viewOf({ self, membership }: Group, isFit: (node: number) => boolean): GroupView {
  const members = [...membership.voters, ...membership.learners];
  const fit = new Set(members.filter((node) => node === self || isFit(node)));
  return { groupId: self, self, voters: membership.voters, learners: membership.learners, isChanging: false, fit };
}

function follow(before: Group, step: MembershipStep): Group {
  if (step.type === 'hand-over') return { ...before, self: step.heirs[0] as number };
  const entered = enterChange(before.membership, step.change);
  if (entered === undefined) throw new Error(`changes nothing: ${JSON.stringify(step)}`);
  return { ...before, membership: isJoint(entered) ? leaveJoint(entered) : entered };
}

const isMajority = (count: number, of: number): boolean => count > of / 2;

test('no step, whatever the group, leads to voters of whom no majority is fit, or loses its leader', () => {
  fc.assert(
    fc.property(group, some(1), some(0), (before, replicas, fit) => {
      const seen = viewOf(before, (node) => fit.includes(node));
      const step = nextStep(seen, { replicas, preferredLeader: 0 });
      if (step === undefined) return;
      const after = follow(before, step);
      if (step.type === 'hand-over') {
        for (const heir of step.heirs) {
          expect(before.membership.voters).toContain(heir);
          expect(seen.fit).toContain(heir);
          expect(replicas).toContain(heir);
        }
        expect(step.heirs).not.toContain(before.self);
        return;
      }
      const { voters } = after.membership;
      expect(voters).toContain(before.self);
      for (const node of step.change.remove ?? []) expect(replicas).not.toContain(node);
      for (const node of step.change.addVoters ?? []) expect(seen.fit).toContain(node);
      if (voters.join() === before.membership.voters.join()) return;
      expect(isMajority(voters.filter((node) => seen.fit.has(node)).length, voters.length)).toBe(true);
    }),
    { numRuns: 1000, seed: 20_261_120 },
  );
});

test('from any group to any place in a few steps, while a majority of the group and all of the place are fit', () => {
  fc.assert(
    fc.property(group, some(1), some(0), (start, replicas, alsoFit) => {
      const isFit = (node: number): boolean => replicas.includes(node) || alsoFit.includes(node);
      const fitVoters = start.membership.voters.filter((node) => node === start.self || isFit(node));
      fc.pre(isMajority(fitVoters.length, start.membership.voters.length));
      let now = start;
      for (let steps = 0; ; steps++) {
        expect(steps).toBeLessThan(6);
        const step = nextStep(viewOf(now, isFit), { replicas, preferredLeader: 0 });
        if (step === undefined) break;
        now = follow(now, step);
      }
      expect([...now.membership.voters].sort()).toEqual([...replicas].sort());
      expect(now.membership.learners).toEqual([]);
      expect(replicas).toContain(now.self);
    }),
    { numRuns: 1000, seed: 20_261_120 },
  );
});

test('and while its newcomers come up one by one, no group is smaller on the way than at both ends', () => {
  fc.assert(
    fc.property(group, some(1), fc.shuffledSubarray(NODES, { minLength: 7 }), (start, replicas, order) => {
      let now: Group = { ...start, membership: { ...start.membership, learners: [] } };
      const least = Math.min(now.membership.voters.length, replicas.length);
      for (let up = 0; up <= order.length; ) {
        const isFit = (node: number): boolean => start.membership.voters.includes(node) || order.indexOf(node) < up;
        const step = nextStep(viewOf(now, isFit), { replicas, preferredLeader: 0 });
        if (step === undefined) up++;
        else now = follow(now, step);
        expect(now.membership.voters.length).toBeGreaterThanOrEqual(least);
      }
      expect([...now.membership.voters].sort()).toEqual([...replicas].sort());
    }),
    { numRuns: 300, seed: 20_261_120 },
  );
});
