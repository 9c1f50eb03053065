import { describe, expect, jest, test } from '@jest/globals';
import { type ClusterSimulationOptions, simulateCluster } from '../src/cluster/cluster-history.ts';
import type { ClusterKnobs } from '../src/cluster/cluster-knobs.ts';
import { withRetained } from '../src/retained/retained-knobs.ts';
import type { Verdict } from '../src/simulation.ts';

const SAFETY_MS = 5_000;

function retained(faults?: ClusterKnobs['faults']): ClusterSimulationOptions {
  return {
    scenario: 'retained',
    safetyMs: SAFETY_MS,
    adjust: (knobs, draw) => {
      const drawn = withRetained(knobs, draw);
      return { ...drawn, faults: faults ?? drawn.faults };
    },
  };
}

function expectHeld(verdict: Verdict): void {
  if (verdict.failure === undefined) return;
  throw new Error(`seed ${verdict.seed}: ${verdict.failure.stack}\n${verdict.lastLines.join('\n')}`);
}

// A function of the machine's load alone: what a seed does takes the same virtual time everywhere.
jest.setTimeout(300_000);

describe('retained messages under faults', () => {
  // Slow wires between gateways, nothing else: what is missed is missed by who asks, not by what breaks.
  test.each([1, 4, 9])('are missed by nobody who subscribes while they are published: seed %i', async (seed) => {
    const verdict = await simulateCluster(seed, retained(['gateway-wires']));
    expectHeld(verdict);
    expect(verdict.summary).toMatch(/[1-9]\d* readers/);
  });

  test.each([2])('are there for whoever comes, as they were acknowledged last: seed %i', async (seed) => {
    const verdict = await simulateCluster(seed, retained());
    expectHeld(verdict);
    expect(verdict.summary).toMatch(/[1-9]\d* readers/);
  });

  // A store that answered nobody was asked again and again, and what the others hold had to wait for that.
  test('wait for no store that does not answer: seed 6', async () => {
    expectHeld(await simulateCluster(6, { ...retained(['sever']), safetyMs: 12_000 }));
  });
});
