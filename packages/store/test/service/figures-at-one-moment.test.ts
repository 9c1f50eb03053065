import { expect, test } from '@jest/globals';
import { QueueState } from '@sluice/queue/machine/queue-state';
import { AdminService } from '../../src/service/admin-service.ts';

// The oldest message is read from the engine: what it was is no figure of a queue that was drained meanwhile.
// Simulator, retention seed 7000524.
test('a queue that is drained while its oldest message is read has none', async () => {
  const config = { queueId: 1, version: 1, name: 'q', isLastValue: false, countMax: null, bytesMax: null };
  const queue = new QueueState({ ...config, overflow: 'refuse' });
  Object.assign(queue, { published: 1, tail: 1, depth: 1, depthBytes: 9 });
  const rowsFrom = async () => {
    await Promise.resolve();
    Object.assign(queue, { accepted: 1, head: 1, depth: 0, depthBytes: 0 });
    return [{ base: 0, appendedAtMs: 500, nextLive: () => 0 }];
  };
  const partition = {
    groupId: 1,
    confirmsLeadership: async () => true,
    queues: { queue: () => queue },
    index: { rowsFrom },
    dispatches: { get: () => undefined, counts: () => undefined },
  };
  const admin = new AdminService({
    partitions: new Map([[1, partition]]),
    topology: { queue: () => ({ queueId: 1, partitions: [1] }) },
    paceOf: () => undefined,
    clock: { nowMs: () => 1_000, monotonicMs: () => 1_000 },
  } as never);
  const answer = await admin.answer({ type: 'statistics', queueIds: [1] });
  expect(answer).toMatchObject({ queues: [{ depth: 0, head: 1, tail: 1, oldestAppendedAtMs: 0 }] });
});
