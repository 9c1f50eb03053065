import { expect, test } from '@jest/globals';
import { systemClock } from '@sluice/common/clock';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import { DEFAULT_QUEUE_SUBSYSTEM_CONFIG } from '@sluice/meta/queue-subsystem-config';
import { Coordinator, type CoordinatorHost } from '../src/coordinator.ts';
import { MetadataService } from '../src/metadata-service.ts';

test.each([
  ['unknown', { type: 'unknown' }],
  ['not-leader', { type: 'not-leader', leader: 2 }],
])(
  'a queue that is wanted, and of which its coordinator says %s in the end, is not said to be unwanted',
  async (outcome, answer) => {
    const coordinator = {
      leads: true,
      leader: 2,
      machine: { config: { ...DEFAULT_QUEUE_SUBSYSTEM_CONFIG, autoCreate: { regular: {}, lastValue: false } } },
      execute: async () => outcome,
    } as unknown as Coordinator;
    const service = new MetadataService({ coordinator });
    expect(await service.answer({ type: 'wanted', name: '/a', topicFilter: 'a' })).toEqual(answer);
  },
);

test.each(['busy', 'unavailable', 'not-leader'] as const)(
  'a change that the group refuses as %s was not stored, and is to be asked for again',
  async (refusal) => {
    const host = { propose: () => refusal, leaderOf: () => 2 } as unknown as CoordinatorHost;
    const coordinator = new Coordinator({
      nodeId: 1,
      host,
      bootstrapVoters: undefined,
      formation: undefined,
      clock: systemClock,
      logger: silentLogger,
      metrics: new PlainMetrics(),
    });
    const service = new MetadataService({ coordinator });
    const answer = await service.answer({ type: 'execute', command: { kind: 'remove-queue', queueId: 1 } });
    expect(answer).toEqual({ type: 'not-leader', leader: 2 });
  },
);
