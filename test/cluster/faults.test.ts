import { afterAll, beforeAll, expect } from '@jest/globals';
import { LOOP_DISK } from '../faults/loop-disk.ts';
import { formatVerdict } from '../faults/queue-checker.ts';
import { testWith } from '../harness/left-out.ts';
import type { ClusterOptions } from './cluster-under-test.ts';
import { F13 } from './disk-faults.ts';
import type { FaultKind } from './fault.ts';
import { faultRounds, type Ground, leaveGround, prepareGround } from './fault-rounds.ts';
import { F7 } from './network-faults.ts';
import { NETWORKS } from './node-networks.ts';
import { F0, F1, F3, F4, F6 } from './process-faults.ts';

const SEED = 1;
/** Tests run side by side here; the bounds proper are those of `npm run faults:cluster`. */
const PATIENCE = 4;
const CALM_MS = 600;
const TEST_MS = 150_000;

/** One cluster for all, with whatever of networks and disks of their own is to be had here: its history goes on. */
let ground: Ground | undefined;

beforeAll(async () => {
  const options: ClusterOptions = {
    ...(LOOP_DISK.isPresent() ? F13.cluster : {}),
    ...(NETWORKS.isPresent() ? F7.cluster : {}),
  };
  ground = await prepareGround(options, SEED);
}, TEST_MS);

afterAll(async () => {
  if (ground !== undefined) await leaveGround(ground);
}, 60_000);

const PLAYED: readonly { fault: FaultKind; title?: string; rounds?: number; awaitsBalance?: boolean }[] = [
  { fault: F0, title: 'without a fault everything comes once, and in order' },
  { fault: F4 },
  { fault: F1, rounds: 2 },
  { fault: F6 },
  { fault: F3 },
  { fault: F7 },
  { fault: F13, awaitsBalance: true },
];

for (const { fault, title = fault.title, rounds = 1, awaitsBalance = false } of PLAYED) {
  testWith(
    [...(fault.needs ?? [])],
    title,
    async () => {
      if (ground === undefined) throw new Error('there is no cluster');
      const options = { rounds, seed: SEED, calmMs: CALM_MS, patience: PATIENCE, awaitsBalance };
      const report = await faultRounds(ground, fault, options);
      if (report.broken.length > 0) throw new Error(`${report.broken.join('\n')}\nhistory and logs: ${report.kept}`);
      if (report.verdict === undefined) throw new Error('no round was made');
      expect(formatVerdict(report.verdict)).not.toMatch(/^0 published/);
    },
    TEST_MS,
  );
}
