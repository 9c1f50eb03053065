import { expect, test } from '@jest/globals';
import { silentLogger } from '@sluice/common/logger';
import type { Partition } from '../../src/partition/partition.ts';
import { PartitionWalks } from '../../src/sweep/partition-walks.ts';

test('a step that fails is tried again from where it was, and keeps no other partition from its own', async () => {
  const [broken, whole] = [1, 2].map((groupId) => ({ groupId, leads: true }) as Partition) as [Partition, Partition];
  const steps: string[] = [];
  let isBroken = false;
  const walks = new PartitionWalks<number>({
    partitions: new Map([
      [1, broken],
      [2, whole],
    ]),
    logger: silentLogger,
    step: async ({ groupId }, from = 0) => {
      steps.push(`${groupId} from ${from}`);
      if (groupId === 1 && isBroken) throw new Error('a row does not match its checksum');
      return from + 1;
    },
    complaint: 'it failed',
  });
  await walks.walk();
  isBroken = true;
  await walks.walk();
  await walks.walk();
  expect(steps).toEqual(['1 from 0', '2 from 0', '1 from 1', '2 from 1', '1 from 1', '2 from 2']);
});
