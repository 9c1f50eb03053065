import { describe, test } from '@jest/globals';
import { simulateRaft } from '../src/raft/raft-history.ts';

const FROM = Number(process.env.SIM_FROM ?? 1);
const SEEDS = Number(process.env.SIM_SEEDS ?? 5);
describe('raft', () => {
  test('seeds', async () => {
    for (let seed = FROM; seed < FROM + SEEDS; seed++) {
      const verdict = await simulateRaft(seed, { safetyMs: 10000 });
      if (verdict.failure !== undefined)
        throw new Error(`seed ${seed}: ${verdict.failure.stack}\n${verdict.lastLines.join('\n')}`);
      console.log(seed, verdict.events, verdict.summary);
    }
  });
});
