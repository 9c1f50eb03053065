import { expect, test } from '@jest/globals';
import { type LogFields, type Logger, silentLogger } from '@sluice/common/logger';
import { PartitionLane, type UnansweredBatch } from '../../src/publish/partition-lane.ts';
import { StallWatch } from '../../src/publish/stall-watch.ts';

function batch(lane: PartitionLane, createdMs: number): UnansweredBatch {
  const made = { lane, bytes: new Uint8Array(1), completions: [], holdsExchange: false, createdMs };
  return { ...made, number: 0, sequence: 0, attempts: 0, before: undefined, behind: undefined };
}

test('a partition whose publishers were all told that nobody knows answers nobody: its next wait is told as a new one', () => {
  const told: string[] = [];
  const note = (_: LogFields, message: string): number => told.push(message);
  const watch = new StallWatch({ ...silentLogger, warn: note, info: note }, () => 0);
  const lane = new PartitionLane(7);
  lane.append(batch(lane, 1_000));
  watch.look(lane, 6_000);
  lane.remove(lane.head as UnansweredBatch);
  watch.gaveUp(lane);
  watch.look(lane, 16_000);
  expect(told).toEqual(['publishers wait for a partition']);
  expect(watch.stalled).toBe(0);
  lane.append(batch(lane, 17_000));
  watch.look(lane, 22_000);
  expect(told.slice(1)).toEqual(['publishers wait for a partition']);
});

test('a partition that keeps publishers waiting is told of once it takes too long, then now and then, and when it is over', () => {
  const told: string[] = [];
  const fields: LogFields[] = [];
  const note = (of: LogFields, message: string): void => {
    told.push(message);
    fields.push(of);
  };
  const logger: Logger = { ...silentLogger, warn: note, info: note };
  const watch = new StallWatch(logger, () => 2);
  const [slow, quick] = [new PartitionLane(7), new PartitionLane(8)];
  const first = batch(slow, 1_000);
  slow.append(first);
  slow.append(batch(slow, 1_500));
  quick.append(batch(quick, 5_500));

  const look = (nowMs: number): void => {
    for (const lane of [slow, quick]) watch.look(lane, nowMs);
  };
  look(5_999);
  expect(told).toEqual([]);
  look(6_000);
  look(6_050);
  expect(told).toEqual(['publishers wait for a partition']);
  expect(fields[0]).toMatchObject({ partition: 7, waitedMs: 5_000, state: 'held', batches: 2, sent: 0, leader: 2 });
  expect(watch.stalled).toBe(1);

  quick.remove(quick.head as UnansweredBatch);
  look(6_000 + StallWatch.REPEAT_MS);
  expect(told).toHaveLength(2);
  expect(fields[1]).toMatchObject({ partition: 7, waitedMs: 15_000 });

  slow.remove(first);
  slow.remove(slow.head as UnansweredBatch);
  look(17_000);
  look(18_000);
  expect(told.slice(2)).toEqual(['a partition answers publishers again']);
  expect(fields[2]).toMatchObject({ partition: 7, waitedMs: 16_000 });
  expect(watch.stalled).toBe(0);
});
