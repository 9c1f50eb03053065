import { describe, expect, jest, test } from '@jest/globals';
import { simulateCluster } from '../src/cluster/cluster-history.ts';
import { withAstray } from '../src/cluster/cluster-knobs.ts';

// A function of the machine's load alone: what a seed does takes the same virtual time everywhere.
jest.setTimeout(300_000);

describe('one clock that is wrong by an hour to years, of a store or a gateway', () => {
  // While nodes went by their machines: messages that had half an hour to live were gone, and partitions hours or years ahead.
  test.each([4, 5, 8])('takes no message and moves no partition’s time: seed %i', async (seed) => {
    const verdict = await simulateCluster(seed, { scenario: 'astray', safetyMs: 8_000, adjust: withAstray });
    expect(verdict.failure).toBeUndefined();
    expect(verdict.summary).toMatch(/astray [1-9]/);
  });
});
