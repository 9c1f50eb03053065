import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { assignPartitions, isSameAssignment, type Share } from '../src/assign-partitions.ts';
import type { Assignment, GroupMember } from '../src/assignment.ts';

const member = (nodeId: number, consumers = 100, windowTotal = consumers * 10): GroupMember => ({
  nodeId,
  consumers,
  windowTotal,
});

function assign(
  partitions: number,
  members: readonly GroupMember[],
  {
    former = [],
    withWork = [],
    attachmentsMax = 0,
  }: { former?: Share[]; withWork?: number[]; attachmentsMax?: number } = {},
): Share[] {
  return assignPartitions({
    partitions: Array.from({ length: partitions }, (_, i) => i + 1),
    withWork: new Set(withWork),
    members,
    former,
    attachmentsMax,
  });
}

const shares = (assignments: readonly Assignment[]): string[] =>
  assignments.map(({ nodeId, partitions }) => `${nodeId}: ${partitions.join(' ')}`);

describe('who draws from where', () => {
  test('few consumers: everybody from everywhere', () => {
    expect(shares(assign(3, [member(2, 5), member(1, 5)], { attachmentsMax: 30 }))).toEqual(['1: 1 2 3', '2: 1 2 3']);
    expect(shares(assign(3, [member(1, 5), member(2, 6)], { attachmentsMax: 30 }))).toEqual(['1: 1', '2: 2 3']);
    expect(assign(3, [member(1, 0)])).toEqual([]);
  });

  test('shares are in the measure of the windows, and nobody goes without', () => {
    expect(shares(assign(8, [member(1, 100, 600), member(2, 100, 200)]))).toEqual(['1: 1 2 3 4 5 6', '2: 7 8']);
    expect(shares(assign(4, [member(1, 1000), member(2, 1), member(3, 1)]))).toEqual(['1: 1 2', '2: 3', '3: 4']);
  });

  test('who joins takes only its share; who leaves gives only what it had', () => {
    const two = assign(6, [member(1), member(2)]);
    const three = assign(6, [member(1), member(2), member(3)], { former: two });
    expect(shares(three)).toEqual(['1: 1 2', '2: 4 5', '3: 3 6']);
    expect(shares(assign(6, [member(1), member(3)], { former: three }))).toEqual(['1: 1 2 4', '3: 3 5 6']);
  });

  test('more gateways than partitions: those beyond one a partition go where work is', () => {
    const members = [1, 2, 3, 4, 5].map((nodeId) => member(nodeId));
    expect(shares(assign(2, members))).toEqual(['1: 1', '2: 1', '3: 1', '4: 2', '5: 2']);
    const former = assign(2, members);
    expect(shares(assign(2, members, { former, withWork: [2] }))).toEqual(['1: 1 2', '2: 2', '3: 2', '4: 2', '5: 2']);
  });

  test('a gateway without work in its share is let in where work is', () => {
    expect(shares(assign(4, [member(1), member(2)], { withWork: [4] }))).toEqual(['1: 1 2 4', '2: 3 4']);
  });

  test('for any members, windows and work: no partition without a taker, no gateway without work while there is some', () => {
    const arbitraryMember = fc.record({
      nodeId: fc.integer({ min: 1, max: 12 }),
      consumers: fc.integer({ min: 0, max: 500 }),
      windowTotal: fc.integer({ min: 0, max: 5_000 }),
    });
    const arbitraryMembers = fc.uniqueArray(arbitraryMember, { selector: ({ nodeId }) => nodeId, maxLength: 12 });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 10 }),
        fc.array(fc.record({ members: arbitraryMembers, work: fc.array(fc.integer({ min: 1, max: 10 })) }), {
          minLength: 1,
          maxLength: 4,
        }),
        fc.constantFrom(0, 1_000),
        (partitions, steps, attachmentsMax) => {
          let former: Share[] = [];
          for (const { members, work } of steps) {
            const withWork = work.filter((partition) => partition <= partitions);
            const now = assign(partitions, members, { former, withWork, attachmentsMax });
            const consuming = members.filter(({ consumers }) => consumers > 0).map(({ nodeId }) => nodeId);
            expect(now.map(({ nodeId }) => nodeId)).toEqual(consuming.sort((a, b) => a - b));
            if (consuming.length > 0) {
              const taken = new Set(now.flatMap((assignment) => assignment.partitions));
              expect(taken.size).toBe(partitions);
            }
            for (const { partitions: mine } of now) {
              expect(new Set(mine).size).toBe(mine.length);
              expect(mine.length).toBeGreaterThan(0);
              if (withWork.length > 0) expect(mine.some((partition) => withWork.includes(partition))).toBe(true);
            }
            // Nothing moves while nothing changes.
            const again = assign(partitions, members, { former: now, withWork, attachmentsMax });
            expect(isSameAssignment(again, now)).toBe(true);
            former = now;
          }
        },
      ),
      { numRuns: 300, seed: 3 },
    );
  });
});
