import { afterAll, expect, test } from '@jest/globals';
import { formatVerdict } from '../faults/queue-checker.ts';
import { testWith } from '../harness/left-out.ts';
import { F13 } from './disk-faults.ts';
import type { FaultKind } from './fault.ts';
import { faultRounds, type Ground, leaveGround, prepareGround } from './fault-rounds.ts';
import { F7 } from './network-faults.ts';
import { F0, F1, F3, F4, F6 } from './process-faults.ts';

const SEED = 1;
/** Tests run side by side here; the bounds proper are those of `npm run faults:cluster`. */
const PATIENCE = 4;
const CALM_MS = 600;
const TEST_MS = 150_000;

/** One cluster for all that needs nothing special: its history goes on from fault to fault. */
let shared: Ground | undefined;

afterAll(async () => {
  if (shared !== undefined) await leaveGround(shared);
}, 60_000);

async function holds(ground: Ground, fault: FaultKind, rounds: number): Promise<void> {
  const report = await faultRounds(ground, fault, { rounds, seed: SEED, calmMs: CALM_MS, patience: PATIENCE });
  if (report.broken.length > 0) throw new Error(`${report.broken.join('\n')}\nhistory and logs: ${report.kept}`);
  if (report.verdict === undefined) throw new Error('no round was made');
  expect(formatVerdict(report.verdict)).not.toMatch(/^0 published/);
}

test(
  'without a fault everything comes once, and in order',
  async () => {
    shared = await prepareGround(undefined, SEED);
    await holds(shared, F0, 1);
  },
  TEST_MS,
);

for (const [fault, rounds] of [
  [F4, 1],
  [F1, 2],
  [F6, 1],
  [F3, 1],
] as const) {
  test(
    fault.title,
    async () => {
      if (shared === undefined) throw new Error('there is no cluster');
      await holds(shared, fault, rounds);
    },
    TEST_MS,
  );
}

for (const fault of [F7, F13]) {
  testWith(
    [...(fault.needs ?? [])],
    fault.title,
    async () => {
      const ground = await prepareGround(fault.cluster, SEED);
      try {
        await holds(ground, fault, 1);
      } finally {
        await leaveGround(ground);
      }
    },
    TEST_MS,
  );
}
