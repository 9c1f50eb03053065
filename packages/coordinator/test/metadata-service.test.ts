import { expect, test } from '@jest/globals';
import { DEFAULT_QUEUE_SUBSYSTEM_CONFIG } from '@sluice/meta/queue-subsystem-config';
import type { Coordinator } from '../src/coordinator.ts';
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
