import { expect, jest, test } from '@jest/globals';
import { simulateCluster } from '../src/cluster/cluster-history.ts';
import { withEndings } from '../src/sessions/session-knobs.ts';

// A function of the machine's load alone: what a seed does takes the same virtual time everywhere.
jest.setTimeout(300_000);

test.each([1])(
  'sessions that end in portions take nothing from whoever comes back, and leave nothing: seed %i',
  async (seed) => {
    const options = { scenario: 'endings', adjust: withEndings, safetyMs: 6_000 };
    const { failure, lastLines, summary } = await simulateCluster(seed, options);
    if (failure !== undefined) throw new Error(`${failure.stack}\n${lastLines.join('\n')}`);
    expect(summary).toMatch(/[1-9]\d* portions seen/);
  },
);
