import { describe, expect, jest, test } from '@jest/globals';
import { type ClusterSimulationOptions, simulateCluster } from '../src/cluster/cluster-history.ts';
import { type ClusterKnobs, withBackups } from '../src/cluster/cluster-knobs.ts';

const BACKUPS: ClusterSimulationOptions = { scenario: 'backups', adjust: withBackups, safetyMs: 5_000 };

/** Segments end while a group is read, and leaders go. */
function readSlowly(faults: ClusterKnobs['faults']): ClusterSimulationOptions {
  return {
    ...BACKUPS,
    adjust: (knobs, draw) => ({
      ...withBackups(knobs, draw),
      faults,
      movingQueues: 2,
      queueMoveEveryMs: 100,
      thinkMsMax: 400,
      segmentBytes: 8_000,
      backups: { everyMs: 300, readMsMax: 200, pieceBytes: 500 },
    }),
  };
}

// A function of the machine's load alone: what a seed does takes the same virtual time everywhere.
jest.setTimeout(300_000);

describe('backups that are made while things fail', () => {
  test.each([
    [2, 'under all faults', BACKUPS],
    [1, 'while leaders go', readSlowly(['transfer', 'power', 'kill'])],
    [5, 'while nothing is done to anybody', readSlowly([])],
  ] as const)('hold what was promised, and so does what is restored: seed %i, %s', async (seed, _what, options) => {
    const { failure, lastLines, summary } = await simulateCluster(seed, options);
    if (failure !== undefined) throw new Error(`${failure.stack}\n${lastLines.join('\n')}`);
    expect(summary).toMatch(/[1-9]\d* backups .* with [1-9]\d* messages, 1 restored/);
  });

  test('are the same, made and restored twice', async () => {
    const options = { ...BACKUPS, safetyMs: 1_500 };
    const [once, again] = [await simulateCluster(6, options), await simulateCluster(6, options)];
    expect(once.failure).toBeUndefined();
    expect(again.traceHash).toBe(once.traceHash);
    expect(again.events).toBe(once.events);
  });
});
