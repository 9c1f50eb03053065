import { describe, expect, jest, test } from '@jest/globals';
import { simulateCluster } from '../src/cluster/cluster-history.ts';
import { withSessions } from '../src/sessions/session-knobs.ts';
import type { Verdict } from '../src/simulation.ts';

const SEEDS = 3;
const SAFETY_MS = 5_000;
const SESSIONS = { scenario: 'sessions', adjust: withSessions } as const;

function expectHeld(verdict: Verdict): void {
  if (verdict.failure === undefined) return;
  throw new Error(`seed ${verdict.seed}: ${verdict.failure.stack}\n${verdict.lastLines.join('\n')}`);
}

// A function of the machine's load alone: what a seed does takes the same virtual time everywhere.
jest.setTimeout(300_000);

describe('kept sessions and retained messages under faults', () => {
  test('miss, invent and repeat nothing they must not, and leave nothing behind', async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      expectHeld(await simulateCluster(seed, { ...SESSIONS, safetyMs: SAFETY_MS }));
    }
  });

  test('do the same twice', async () => {
    const options = { ...SESSIONS, safetyMs: 1_000 };
    const [once, again] = [await simulateCluster(4, options), await simulateCluster(4, options)];
    expectHeld(once);
    expect(again.traceHash).toBe(once.traceHash);
    expect(again.events).toBe(once.events);
  });
});
