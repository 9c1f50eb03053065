import { describe, expect, jest, test } from '@jest/globals';
import { type ClusterSimulationOptions, simulateCluster } from '../src/cluster/cluster-history.ts';
import type { ClusterKnobs } from '../src/cluster/cluster-knobs.ts';
import { withWorkers } from '../src/sessions/session-knobs.ts';
import type { CrewKnobs } from '../src/sessions/worker-crew.ts';

function workers(faults: ClusterKnobs['faults'], safetyMs = 6_000): ClusterSimulationOptions {
  return {
    scenario: 'workers',
    safetyMs,
    adjust: (knobs, draw) => {
      const { crew, ...drawn } = withWorkers(knobs, draw);
      return { ...drawn, safetyMs, faults, crew: { ...(crew as CrewKnobs), stuckMs: 60_000 } };
    },
  };
}

// A function of the machine's load alone: what a seed does takes the same virtual time everywhere.
jest.setTimeout(300_000);

describe('workers that speak MQTT, come and go, and stand still', () => {
  test.each([
    [2, 'while nothing is done to the cluster', workers([], 16_000)],
    [8, 'while gateways die and leaders change', workers(['gateway', 'gateway', 'transfer', 'kill'])],
  ] as const)('lose no job, and finish it by a PUBACK alone: seed %i, %s', async (seed, _what, options) => {
    const { failure, lastLines, summary } = await simulateCluster(seed, options);
    if (failure !== undefined) throw new Error(`${failure.stack}\n${lastLines.join('\n')}`);
    expect(summary).toMatch(/[1-9]\d* jobs finished by PUBACK, [1-9]\d* given back/);
  });

  test('do the same twice', async () => {
    const options = workers(['gateway', 'transfer'], 1_500);
    const [once, again] = [await simulateCluster(3, options), await simulateCluster(3, options)];
    expect(once.failure).toBeUndefined();
    expect(again.traceHash).toBe(once.traceHash);
    expect(again.events).toBe(once.events);
  });
});
