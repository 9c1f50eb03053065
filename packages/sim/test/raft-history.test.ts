import { describe, expect, jest, test } from '@jest/globals';
import { type RaftHistory, simulateRaft } from '../src/raft/raft-history.ts';
import type { Verdict } from '../src/simulation.ts';

const SEEDS = 15;
const SAFETY_MS = 6_000;

function expectHeld(verdict: Verdict): void {
  if (verdict.failure === undefined) return;
  throw new Error(`seed ${verdict.seed}: ${verdict.failure.stack}\n${verdict.lastLines.join('\n')}`);
}

// A function of the machine's load alone: what a seed does takes the same virtual time everywhere.
jest.setTimeout(300_000);

describe('Raft hosts under faults', () => {
  test('keep what they promise, and are one again when everything heals', async () => {
    for (let seed = 1; seed <= SEEDS; seed++) expectHeld(await simulateRaft(seed, { safetyMs: SAFETY_MS }));
  });

  test('do the same twice', async () => {
    for (const seed of [3, 9]) {
      const [once, again] = [
        await simulateRaft(seed, { safetyMs: 3_000 }),
        await simulateRaft(seed, { safetyMs: 3_000 }),
      ];
      expect(again.traceHash).toBe(once.traceHash);
      expect(again.events).toBe(once.events);
    }
  });

  test('are found out when their disks lie', async () => {
    const sabotage = ({ nodes }: RaftHistory): void => {
      for (const { disk } of nodes.values()) disk.lies = true;
    };
    const found: string[] = [];
    for (let seed = 1; seed <= 10 && found.length === 0; seed++) {
      const { failure } = await simulateRaft(seed, {
        safetyMs: SAFETY_MS,
        sabotage,
        adjust: (knobs) => ({ ...knobs, nodes: 3, faults: ['power-all', 'power'] }),
      });
      if (failure !== undefined) found.push(failure.message);
    }
    expect(found.length).toBeGreaterThan(0);
  });
});
