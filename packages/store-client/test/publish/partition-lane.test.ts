import { expect, test } from '@jest/globals';
import { PartitionLane, type UnansweredBatch } from '../../src/publish/partition-lane.ts';

test('a batch that was answered does not know those behind it: as garbage it would keep them alive', () => {
  const lane = new PartitionLane(1);
  const batches = [1, 2, 3].map((number): UnansweredBatch => {
    const bytes = new Uint8Array(8);
    const links = { before: undefined, behind: undefined };
    return {
      lane,
      bytes,
      completions: [],
      holdsExchange: false,
      createdMs: 0,
      number,
      sequence: 0,
      attempts: 0,
      ...links,
    };
  });
  for (const batch of batches) lane.append(batch);
  const [first, second, third] = batches as [UnansweredBatch, UnansweredBatch, UnansweredBatch];
  lane.removeStored(second);
  expect([second.before, second.behind]).toEqual([undefined, undefined]);
  expect([first.behind, third.before]).toEqual([third, first]);
  lane.removeStored(first);
  expect([first.behind, lane.head, lane.firstWaiting]).toEqual([undefined, third, third]);
});

test('a batch whose publishers were told leads to nothing any more', () => {
  const lane = new PartitionLane(1);
  const completions = [{ recordStored: () => {}, recordFailed: () => {} }];
  const links = { before: undefined, behind: undefined };
  const batch: UnansweredBatch = {
    ...{
      lane,
      bytes: new Uint8Array(8),
      completions,
      holdsExchange: false,
      createdMs: 0,
      number: 0,
      sequence: 0,
      attempts: 0,
    },
    ...links,
  };
  lane.append(batch);
  lane.removeStored(batch);
  lane.forget(batch);
  expect([batch.bytes.length, batch.completions]).toEqual([0, []]);
});
