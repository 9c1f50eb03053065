import { describe, expect, test } from '@jest/globals';
import { compactDefinition, definitionOf, hasSameSettings } from '../src/compact-definition.ts';
import type { QueueDefinition } from '../src/queue-definition.ts';
import { NO_LIMITS, QUEUE_SETTING_DEFAULTS } from '../src/queue-subsystem-config.ts';

const LIMITED: QueueDefinition = {
  ...QUEUE_SETTING_DEFAULTS,
  queueId: 7,
  name: '/device/7',
  topicFilter: 'device/7',
  isLastValue: false,
  keyExpression: null,
  limits: { countMax: 5, bytesMax: null, overflow: 'drop_oldest' },
  partitions: [3, 4],
  version: 12,
  createdAtMs: 1_763_600_000_000,
};
const UNLIMITED: QueueDefinition = { ...LIMITED, limits: { ...NO_LIMITS }, partitions: [3] };
const OBJECTIVE: QueueDefinition = { ...UNLIMITED, lagObjectiveMs: 30_000 };
const parsed = (definition: QueueDefinition): QueueDefinition => JSON.parse(JSON.stringify(definition));

describe('a definition written out', () => {
  test('says the same, whatever it came from', () => {
    for (const given of [LIMITED, UNLIMITED, OBJECTIVE, { ...OBJECTIVE, lagObjectiveMs: null }]) {
      expect(compactDefinition(given)).toStrictEqual(given);
      expect(compactDefinition(given)).not.toBe(given);
      expect(compactDefinition(parsed(given))).toStrictEqual(given);
    }
  });

  test('shares with others what most queues have in common', () => {
    const one = compactDefinition(parsed(UNLIMITED));
    const other = compactDefinition(parsed({ ...UNLIMITED, queueId: 8, name: 'eight' }));
    expect(one.limits).toBe(other.limits);
    expect(one.partitions).toBe(other.partitions);
    expect(compactDefinition(parsed(LIMITED)).limits).not.toBe(one.limits);
  });

  test('keeps what a newer build has added, to it or to its limits', () => {
    const newer = { ...UNLIMITED, ackDeadlineMs: 30_000 };
    expect(compactDefinition(newer)).toStrictEqual(newer);
    const limits = { ...NO_LIMITS, keysMax: 9 };
    expect(compactDefinition({ ...UNLIMITED, limits }).limits).toStrictEqual(limits);
  });

  test('is made of its own part and shared settings alike', () => {
    const { queueId, name, topicFilter, partitions, version, createdAtMs, ...settings } = LIMITED;
    const own = { queueId, name, topicFilter, partitions, version, createdAtMs };
    expect(definitionOf(own, settings)).toStrictEqual(LIMITED);
    expect(definitionOf(own, { ...settings, lagObjectiveMs: 5 })).toStrictEqual({ ...LIMITED, lagObjectiveMs: 5 });
    const newer = { ...settings, ackDeadlineMs: 30_000 };
    expect(definitionOf(own, newer)).toStrictEqual({ ...LIMITED, ackDeadlineMs: 30_000 });
  });

  test('has the settings of another only when every one is the same', () => {
    const one = compactDefinition(parsed(UNLIMITED));
    expect(hasSameSettings(one, compactDefinition(parsed({ ...UNLIMITED, queueId: 8, name: 'eight' })))).toBe(true);
    const { queueId, name, topicFilter, partitions, version, createdAtMs, ...settings } = one;
    for (const field of Object.keys(settings)) {
      expect(hasSameSettings(one, { ...one, [field]: 'another' } as QueueDefinition)).toBe(false);
    }
    expect(hasSameSettings(one, OBJECTIVE)).toBe(false);
    const late = compactDefinition(parsed(OBJECTIVE));
    expect(hasSameSettings(late, compactDefinition(parsed({ ...OBJECTIVE, queueId: 8 })))).toBe(true);
    expect(hasSameSettings(late, { ...late, lagObjectiveMs: 60_000 })).toBe(false);
    const newer = { ...one, ackDeadlineMs: 30_000 };
    expect(hasSameSettings(newer, { ...newer })).toBe(false);
  });
});
