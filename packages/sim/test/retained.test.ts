import { describe, expect, jest, test } from '@jest/globals';
import { SeededPrng } from '@sluice/common/prng';
import { ClusterHistory, type ClusterSimulationOptions, simulateCluster } from '../src/cluster/cluster-history.ts';
import { type ClusterKnobs, drawClusterKnobs } from '../src/cluster/cluster-knobs.ts';
import { Draw } from '../src/draw.ts';
import { ReachCheck } from '../src/retained/reach-check.ts';
import { withRetained } from '../src/retained/retained-knobs.ts';
import { withClears } from '../src/sessions/session-knobs.ts';
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
  test.each([4, 5, 7, 9])('are missed by nobody who subscribes while they are published: seed %i', async (seed) => {
    const verdict = await simulateCluster(seed, retained(['gateway-wires']));
    expectHeld(verdict);
    expect(verdict.summary).toMatch(/[1-9]\d* readers/);
  });

  test.each([2])('are there for whoever comes, as they were acknowledged last: seed %i', async (seed) => {
    const verdict = await simulateCluster(seed, retained());
    expectHeld(verdict);
    expect(verdict.summary).toMatch(/[1-9]\d* readers/);
  });

  // Seed 2931012: who is given up is forgotten by the others, with what was on its way, and its process would have ended.
  test('are read and published at gateways that nobody gives up', () => {
    for (let seed = 1; seed <= 50; seed++) {
      const draw = new Draw(new SeededPrng(seed));
      const { placement } = withRetained(drawClusterKnobs(draw, SAFETY_MS), draw);
      expect(placement.replaceAfterMs).toBeGreaterThan(ClusterHistory.SEVERED_MS_MAX + ReachCheck.WAIT_MS_MAX);
    }
  });

  // What was stored and not answered comes again over the next connection: behind the value that was published since.
  test.each([1])('are not cleared again by what cleared their topic before they came: seed %i', async (seed) => {
    const verdict = await simulateCluster(seed, { scenario: 'clears', safetyMs: SAFETY_MS, adjust: withClears });
    expectHeld(verdict);
    expect(verdict.summary).toMatch(/[1-9]\d* topics cleared and retained/);
  });

  // A store that answered nobody was asked again and again, and what the others hold had to wait for that.
  test('wait for no store that does not answer: seed 6', async () => {
    expectHeld(await simulateCluster(6, { ...retained(['sever']), safetyMs: 12_000 }));
  });
});
