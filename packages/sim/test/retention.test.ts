import { describe, expect, jest, test } from '@jest/globals';
import { type ClusterSimulationOptions, simulateCluster } from '../src/cluster/cluster-history.ts';
import { type ClusterKnobs, withRetention } from '../src/cluster/cluster-knobs.ts';

function retention(faults?: ClusterKnobs['faults']): ClusterSimulationOptions {
  return {
    scenario: 'retention',
    safetyMs: 8_000,
    adjust: (knobs, draw) => {
      const drawn = { ...withRetention(knobs, draw), retentionMoveEveryMs: 100, safetyMs: 8_000 };
      return { ...drawn, faults: faults ?? drawn.faults };
    },
  };
}

// A function of the machine's load alone: what a seed does takes the same virtual time everywhere.
jest.setTimeout(300_000);

describe('queues that are purged, limited and changed in use', () => {
  // Three of them by nothing else: then there is no excuse.
  test.each([
    [6, []],
    [10, []],
    [17, []],
    [4, undefined],
  ] as const)(
    'lose nothing without a reason that they count, and keep nothing too long: seed %i',
    async (seed, faults) => {
      const { failure, lastLines, summary } = await simulateCluster(seed, retention(faults));
      if (failure !== undefined) throw new Error(`${failure.stack}\n${lastLines.join('\n')}`);
      expect(summary).toMatch(/[1-9]\d* purges, [1-9]\d* gone unseen, [1-9]\d* changes of settings, [1-9]\d* answers/);
    },
  );
});
