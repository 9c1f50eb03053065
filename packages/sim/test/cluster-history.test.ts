import { describe, expect, jest, test } from '@jest/globals';
import { simulateCluster } from '../src/cluster/cluster-history.ts';
import type { Verdict } from '../src/simulation.ts';

const SEEDS = 5;
const SAFETY_MS = 5_000;

function expectHeld(verdict: Verdict): void {
  if (verdict.failure === undefined) return;
  throw new Error(`seed ${verdict.seed}: ${verdict.failure.stack}\n${verdict.lastLines.join('\n')}`);
}

// A function of the machine's load alone: what a seed does takes the same virtual time everywhere.
jest.setTimeout(300_000);

describe('clusters under faults', () => {
  test('lose, invent and resurrect nothing, and drain when everything heals', async () => {
    for (let seed = 1; seed <= SEEDS; seed++) expectHeld(await simulateCluster(seed, { safetyMs: SAFETY_MS }));
  });

  test('do the same twice', async () => {
    const [once, again] = [
      await simulateCluster(2, { safetyMs: 2_000 }),
      await simulateCluster(2, { safetyMs: 2_000 }),
    ];
    expect(again.traceHash).toBe(once.traceHash);
    expect(again.events).toBe(once.events);
  });

  test('without a fault everything is stored once and delivered once', async () => {
    const verdict = await simulateCluster(4, { safetyMs: SAFETY_MS, adjust: (knobs) => ({ ...knobs, faults: [] }) });
    expectHeld(verdict);
    expect(verdict.summary).toContain('(0 duplicates)');
  });
});
