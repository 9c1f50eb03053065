import { expect } from '@jest/globals';
import { testWith } from '../harness/left-out.ts';
import { LOOP_DISK } from './loop-disk.ts';
import { powerLossRounds } from './power-loss.ts';
import { formatVerdict, isClean } from './queue-checker.ts';

const round = { rounds: 1, loadMsMax: 1_500, onRound: () => {} };
const CONTROL_ROUNDS_MAX = 5;

testWith(
  LOOP_DISK,
  'power loss under load: nothing acknowledged is lost',
  async () => {
    const verdict = await powerLossRounds({ ...round, seed: 30, sync: true });
    expect(verdict.acknowledged).toBeGreaterThan(50);
    if (!isClean(verdict)) throw new Error(formatVerdict(verdict));
  },
  120_000,
);

testWith(
  LOOP_DISK,
  'negative control: without syncing, power loss does lose what was acknowledged',
  async () => {
    let lost = 0;
    for (let seed = 40; seed < 40 + CONTROL_ROUNDS_MAX && lost === 0; seed++) {
      lost += (await powerLossRounds({ ...round, seed, sync: false })).lost.length;
    }
    expect(lost).toBeGreaterThan(0);
  },
  240_000,
);
