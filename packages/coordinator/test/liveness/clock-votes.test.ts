import { describe, expect, it } from '@jest/globals';
import { CLOCK_TOLERANCE_MS } from '@sluice/common/clock';
import type { ClockReading } from '@sluice/rpc/contract/topology-feed';
import { ClockVotes } from '../../src/liveness/clock-votes.ts';

const TODAY = 1_700_000_000_000;
const HOUR = 3_600_000;

/** Of nodes 1, 2, … how far each clock is ahead, and what its node goes by; all report in one moment. */
function aheadOf(
  walls: readonly number[],
  held: readonly number[] = walls,
  alive = walls.length,
): (number | undefined)[] {
  const votes = new ClockVotes();
  for (const [i, wall] of walls.entries()) votes.heard(i + 1, reading(wall, held[i] as number), 5_000);
  const nodeIds = Array.from({ length: alive }, (_, i) => i + 1);
  return votes.views(nodeIds, 6_000).map(({ aheadMs }) => aheadMs);
}

function reading(wall: number, held: number): ClockReading {
  return { wallMs: TODAY + wall, nowMs: TODAY + held, monotonicMs: 77 };
}

describe('which time the cluster has', () => {
  it('is that of most clocks', () => {
    expect(aheadOf([0, 20, HOUR])).toEqual([0, 20, HOUR]);
    expect(aheadOf([-HOUR, 0, 0, 30, 5 * HOUR])).toEqual([-HOUR, 0, 0, 30, 5 * HOUR]);
    expect(aheadOf([HOUR])).toEqual([0]);
  });

  it('all clocks jump, as when a whole cluster was suspended: their new time counts, not what is held', () => {
    expect(aheadOf([HOUR, HOUR, HOUR], [0, 0, 0])).toEqual([0, 0, 0]);
  });

  it('of two clocks none is right by itself, and one that jumped is not believed', () => {
    expect(aheadOf([0, HOUR])).toEqual([undefined, undefined]);
    expect(aheadOf([0, HOUR], [0, 0])).toEqual([0, HOUR]);
  });

  it('nobody is told anything before most of those that live have been heard', () => {
    expect(aheadOf([HOUR], [HOUR], 3)).toEqual([undefined]);
    expect(aheadOf([0, HOUR], [0, HOUR], 3)).toEqual([undefined, undefined]);
    expect(aheadOf([0, 0], [0, 0], 3)).toEqual([0, 0]);
  });

  it('clocks that differ by no more than the tolerance agree', () => {
    expect(aheadOf([0, CLOCK_TOLERANCE_MS])).toEqual([0, CLOCK_TOLERANCE_MS]);
    expect(aheadOf([0, CLOCK_TOLERANCE_MS + 1])).toEqual([undefined, undefined]);
  });

  it('a reading is as old as it is: what was heard earlier is compared by the monotonic clock', () => {
    const votes = new ClockVotes();
    votes.heard(1, reading(0, 0), 1_000);
    votes.heard(2, reading(4_000, 4_000), 5_000);
    expect(votes.views([1, 2], 5_000).map(({ aheadMs }) => aheadMs)).toEqual([0, 0]);
    // Who is not heard any more has no vote.
    expect(votes.views([1, 2], 1_001 + ClockVotes.HEARD_MS_MAX).map(({ nodeId }) => nodeId)).toEqual([2]);
    // Nor has a build that does not tell.
    votes.heard(2, undefined, 6_000);
    expect(votes.views([1, 2], 6_000).map(({ nodeId }) => nodeId)).toEqual([1]);
  });
});
