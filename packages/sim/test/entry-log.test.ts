import { describe, expect, jest, test } from '@jest/globals';
import { simulateLog } from '../src/log/log-history.ts';

const SEEDS = Number(process.env.SIM_SEEDS ?? 60);

// A function of the machine's load alone: what a seed does takes the same virtual time everywhere.
jest.setTimeout(300_000);

describe('the entry log under power losses', () => {
  test('loses nothing that was acknowledged and takes no crash for damage', async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const verdict = await simulateLog(seed);
      if (verdict.failure !== undefined) {
        throw new Error(`seed ${seed}: ${verdict.failure.stack}\n${verdict.lastLines.join('\n')}`);
      }
    }
  });

  test('is found out when it does not sync', async () => {
    const found = [];
    for (let seed = 1; seed <= 40; seed++) {
      const verdict = await simulateLog(seed, { sync: false });
      if (verdict.failure !== undefined) found.push(verdict.failure.message);
    }
    expect(found.some((message) => message.startsWith('acknowledged entries kept'))).toBe(true);
  });

  test('does the same twice', async () => {
    for (const seed of [1, 2, 3]) {
      const [once, again] = [await simulateLog(seed), await simulateLog(seed)];
      expect(again.traceHash).toBe(once.traceHash);
      expect(again.events).toBe(once.events);
    }
  });
});
