import { expect, test } from '@jest/globals';
import { type LogFields, silentLogger } from '@sluice/common/logger';
import { PendingProposals } from '../../src/replica/pending-proposals.ts';
import type { Replica } from '../../src/replica/replica.ts';
import { CommitWatch } from '../../src/tick/commit-watch.ts';

test('a leader whose proposals wait says what it knows of its followers, and begins anew whenever something is applied', () => {
  const told: LogFields[] = [];
  const watch = new CommitWatch({ ...silentLogger, warn: (fields) => told.push(fields) });
  const progress = [{ peer: 2, match: 4, state: 'probe' }];
  const status = { term: 3, commit: 9, lastIndex: 10, persistedIndex: 10, quiesced: false, transferee: 0, progress };
  const pending = new PendingProposals();
  const replica = {
    groupId: 5,
    appliedIndex: 9,
    pending,
    stalledTicks: 0,
    stalledIndex: 0,
    raft: { status: () => status },
  };
  const tick = (times: number): void => {
    for (let i = 0; i < times; i++) watch.look(replica as unknown as Replica);
  };
  tick(3 * CommitWatch.STALL_TICKS);
  expect(told).toEqual([]);

  pending.add(10, 3, {}, 0);
  tick(CommitWatch.STALL_TICKS - 1);
  replica.appliedIndex = 10;
  tick(CommitWatch.STALL_TICKS);
  expect(told).toEqual([]);
  tick(1);
  expect(told).toEqual([expect.objectContaining({ group: 5, proposals: 1, applied: 10, commit: 9, peers: progress })]);
  tick(CommitWatch.REPEAT_TICKS - 1);
  expect(told).toHaveLength(1);
  tick(1);
  expect(told).toHaveLength(2);
});
