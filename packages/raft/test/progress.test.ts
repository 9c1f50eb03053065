import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Progress } from '../src/progress.ts';

describe('the view of a follower', () => {
  test('a probe obeys the answer to what it sent last, and no other', () => {
    const progress = new Progress(1, 11, { inflightAppendsMax: 4, inflightBytesMax: 1_000_000 });
    progress.sentAppend(10, 0);
    expect(progress.paused()).toBe(true);
    expect(progress.rejected(7, 3)).toBe(false);
    expect(progress.next).toBe(11);
    expect(progress.paused()).toBe(true);
    expect(progress.rejected(10, 3)).toBe(true);
    expect(progress.next).toBe(4);
    expect(progress.paused()).toBe(false);
  });

  test('a rejection below what the follower is known to hold is stale', () => {
    const progress = new Progress(1, 1, { inflightAppendsMax: 4, inflightBytesMax: 1_000_000 });
    progress.accepted(5);
    progress.becomeReplicate();
    expect(progress.rejected(5, 1)).toBe(false);
    expect(progress.rejected(8, 1)).toBe(true);
    expect([progress.match, progress.next]).toEqual([5, 6]);
  });

  test('after a snapshot it goes on behind it, after a failed one from where it was', () => {
    const progress = new Progress(1, 1, { inflightAppendsMax: 4, inflightBytesMax: 1_000_000 });
    progress.becomeSnapshot(9);
    expect(progress.paused()).toBe(true);
    progress.becomeProbe();
    expect(progress.next).toBe(10);
    progress.becomeSnapshot(20);
    progress.snapshotFailed();
    expect(progress.next).toBe(1);
  });

  test('whatever answers come, match never goes back and stays below next', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('accept' as const), index: fc.integer({ min: 1, max: 20 }) }),
      fc.record({
        kind: fc.constant('reject' as const),
        index: fc.integer({ min: 0, max: 20 }),
        hint: fc.integer({ min: 0, max: 20 }),
      }),
      fc.constant({ kind: 'replicate' as const }),
      fc.constant({ kind: 'probe' as const }),
      fc.record({ kind: fc.constant('snapshot' as const), index: fc.integer({ min: 1, max: 20 }) }),
      fc.constant({ kind: 'send' as const }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 50 }), (steps) => {
        const progress = new Progress(1, 21, { inflightAppendsMax: 3, inflightBytesMax: 1_000_000 });
        let match = 0;
        for (const action of steps) {
          if (action.kind === 'accept') progress.accepted(action.index);
          else if (action.kind === 'reject') progress.rejected(action.index, action.hint);
          else if (action.kind === 'replicate') progress.becomeReplicate();
          else if (action.kind === 'probe') progress.becomeProbe();
          else if (action.kind === 'snapshot') progress.becomeSnapshot(action.index);
          else if (!progress.paused()) progress.sentAppend(progress.next - 1, 1);
          expect(progress.match).toBeGreaterThanOrEqual(match);
          expect(progress.next).toBeGreaterThan(progress.match);
          match = progress.match;
        }
      }),
      { numRuns: 1000, seed: 1 },
    );
  });
});
