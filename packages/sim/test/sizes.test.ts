import { expect, jest, test } from '@jest/globals';
import { simulateCluster } from '../src/cluster/cluster-history.ts';
import { withSizes } from '../src/sessions/session-knobs.ts';

// A function of the machine's load alone: what a seed does takes the same virtual time everywhere.
jest.setTimeout(300_000);

test.each([1, 2, 3])('jobs that not every worker takes are finished, none is lost: seed %i', async (seed) => {
  const options = { scenario: 'sizes', safetyMs: 6_000, adjust: withSizes };
  const { failure, lastLines, summary } = await simulateCluster(seed, options);
  if (failure !== undefined) throw new Error(`${failure.stack}\n${lastLines.join('\n')}`);
  expect(summary).toMatch(/[1-9]\d* jobs finished by PUBACK/);
});
