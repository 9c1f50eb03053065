import { expect, test } from '@jest/globals';
import { killRounds } from './kill-rounds.ts';
import { formatVerdict, isClean } from './queue-checker.ts';

test('SIGKILL under load: nothing acknowledged is lost, nothing is invented, only what was in flight comes twice', async () => {
  const verdict = await killRounds({ rounds: 3, seed: 20, loadMsMax: 1_200, onRound: () => {} });
  expect(verdict.acknowledged).toBeGreaterThan(100);
  if (!isClean(verdict)) throw new Error(formatVerdict(verdict));
}, 120_000);
