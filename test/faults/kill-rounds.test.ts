import { expect, test } from '@jest/globals';
import { ServerProcess } from '../harness/server-process.ts';
import { killRounds, pause } from './kill-rounds.ts';
import { Load } from './load.ts';
import { checkHistory, formatVerdict, isClean } from './queue-checker.ts';

const LOAD_MS = 1_000;
const DRAIN_MS_MAX = 60_000;

test('without a fault nothing comes twice', async () => {
  const server = await ServerProcess.start();
  await Load.createQueues(server.rest());
  const load = new Load(server.mqtt, 10);
  try {
    load.start();
    await pause(LOAD_MS);
    const verdict = checkHistory(load.history, await load.drain(() => server.rest(), DRAIN_MS_MAX));
    expect(verdict).toMatchObject({ lost: [], invented: [], backwards: [], miscounted: [], duplicates: 0 });
    expect(verdict.acknowledged).toBe(verdict.publishes);
  } finally {
    load.end();
    await server.dispose();
  }
}, 90_000);

test('SIGKILL under load: nothing acknowledged is lost, nothing is invented, only what was in flight comes twice', async () => {
  const verdict = await killRounds({ rounds: 3, seed: 20, loadMsMax: 1_200, onRound: () => {} });
  expect(verdict.acknowledged).toBeGreaterThan(100);
  if (!isClean(verdict)) throw new Error(formatVerdict(verdict));
}, 120_000);
