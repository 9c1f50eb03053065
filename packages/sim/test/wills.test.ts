import { expect, jest, test } from '@jest/globals';
import { type ClusterSimulationOptions, simulateCluster } from '../src/cluster/cluster-history.ts';
import { withWills } from '../src/sessions/session-knobs.ts';

const WILLS: ClusterSimulationOptions = { scenario: 'wills', adjust: withWills, safetyMs: 8_000 };
/** Each new leader looks after everybody anew: it would make good what the one before forgot. */
const GATEWAYS_DIE: ClusterSimulationOptions = {
  ...WILLS,
  adjust: (knobs, draw) => ({ ...withWills(knobs, draw), faults: ['gateway'] }),
};

// A function of the machine's load alone: what a seed does takes the same virtual time everywhere.
jest.setTimeout(300_000);

test.each([
  [8, 'gateways and leaders die', WILLS],
  [10, 'gateways die', GATEWAYS_DIE],
] as const)('wills fire once, when they are due and only then: seed %i, %s', async (seed, _what, options) => {
  const { failure, lastLines, summary } = await simulateCluster(seed, options);
  if (failure !== undefined) throw new Error(`${failure.stack}\n${lastLines.join('\n')}`);
  expect(summary).toMatch(/gateway [1-9]/);
  expect(summary).toMatch(/[1-9]\d* wills fired, [1-9]\d* taken back/);
});
