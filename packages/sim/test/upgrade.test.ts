import { expect, jest, test } from '@jest/globals';
import { simulateCluster } from '../src/cluster/cluster-history.ts';
import { withUpgradeOfAll } from '../src/sessions/upgrade-knobs.ts';

const SEEDS = 6;
const SAFETY_MS = 5_000;

// A function of the machine's load alone: what a seed does takes the same virtual time everywhere.
jest.setTimeout(300_000);

test('nodes of two builds in one cluster: nothing is lost, the level waits for the last of them, and rises then', async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { failure, lastLines } = await simulateCluster(seed, {
      ...{ scenario: 'upgrade', adjust: withUpgradeOfAll, safetyMs: SAFETY_MS },
    });
    if (failure !== undefined) throw new Error(`seed ${seed}: ${failure.stack}\n${lastLines.join('\n')}`);
  }
  expect.assertions(0);
});
