import { expect, test } from '@jest/globals';
import { FIRST_NODE_LOST } from './first-node-lost.ts';
import { play, SCALING_LOAD } from './play.ts';

const QUEUES = ['tasks/+', 'later/+'];
const SMALL = {
  queues: SCALING_LOAD.queues.filter(({ name }) => QUEUES.includes(name)),
  publishers: SCALING_LOAD.publishers.filter(({ topics }) => /^(tasks|later)/.test(topics[0] as string)),
};

test('a node that was alone gets two beside it under traffic, and nothing is lost when it is then killed for good', async () => {
  const report = await play(FIRST_NODE_LOST, { spec: SMALL });
  expect(report.broken).toEqual([]);
  expect(report.verdict).toMatchObject({ lost: [], disordered: [] });
  // Something was stored before the others came.
  expect(report.verdict?.acknowledged).toBeGreaterThan(50);
}, 150_000);
