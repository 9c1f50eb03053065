import { describe, expect, test } from '@jest/globals';
import type { QueueDefinition } from '@sluice/meta/queue-definition';
import { partitionForKey, partitionForPublisher } from '../../src/publish/partition-choice.ts';

const over = (...partitions: number[]): QueueDefinition => ({ partitions }) as unknown as QueueDefinition;

describe('the partition of a record', () => {
  test('is the only one there is', () => {
    expect(partitionForKey(over(7), Buffer.from('k'))).toBe(7);
    expect(partitionForPublisher(over(7), 'p')).toBe(7);
  });

  test('is the same for ever: these were chosen by the first release that could', () => {
    const queue = over(3, 5, 8, 13);
    const keys = ['', 'k1', 'k2', 'device-0001', 'Grüße'].map((key) => partitionForKey(queue, Buffer.from(key)));
    const publishers = ['', 'p1', 'p2', 'device-0001', 'Grüße'].map((id) => partitionForPublisher(queue, id));
    expect(keys).toEqual([13, 8, 3, 13, 8]);
    expect(publishers).toEqual([13, 8, 5, 5, 5]);
  });

  test.each([2, 3, 8, 16])('is spread evenly over %d, also for ids that differ in their last digits', (count) => {
    const queue = over(...Array.from({ length: count }, (_, i) => i + 1));
    for (const choose of [
      (i: number) => partitionForPublisher(queue, `device-${String(i).padStart(5, '0')}`),
      (i: number) => partitionForKey(queue, Buffer.from(String(i))),
    ]) {
      const counts = new Array<number>(count + 1).fill(0);
      for (let i = 0; i < 4000; i++) counts[choose(i)] = (counts[choose(i)] as number) + 1;
      const expected = 4000 / count;
      for (const found of counts.slice(1)) expect(Math.abs(found - expected)).toBeLessThan(expected * 0.25);
    }
  });
});
