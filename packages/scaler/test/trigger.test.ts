import { describe, expect, test } from '@jest/globals';
import { readTrigger } from '../src/trigger.ts';

const read = (metadata: Record<string, string>) => readTrigger(new Map(Object.entries(metadata)));

describe('a trigger', () => {
  test('needs nothing but the queue', () => {
    expect(read({ queue: 'jobs' })).toEqual({
      queue: 'jobs',
      share: { messages: 10 },
      includeInflight: true,
      activation: 0,
    });
  });

  test('says what a worker’s share is in messages or by time', () => {
    expect(read({ queue: 'jobs', target: '2.5' })).toMatchObject({ share: { messages: 2.5 } });
    expect(read({ queue: 'jobs', targetLagSeconds: '30' })).toMatchObject({ share: { lagSeconds: 30 } });
    expect(read({ queue: 'jobs', activation: '5', includeInflight: 'false' })).toMatchObject({
      activation: 5,
      includeInflight: false,
    });
  });

  test('may hold what KEDA itself reads there', () => {
    expect(read({ queue: 'jobs', scalerAddress: 'sluice:6000', enableTLS: 'true' })).toMatchObject({ queue: 'jobs' });
  });

  test.each([
    [{}, 'queue is missing'],
    [{ queue: '' }, 'queue is missing'],
    [{ queue: 'jobs', tarqet: '5' }, '"tarqet" is not a setting'],
    [{ queue: 'jobs', target: '5', targetLagSeconds: '5' }, 'two ways to say one thing'],
    [{ queue: 'jobs', target: '0' }, 'target must be above 0'],
    [{ queue: 'jobs', target: '-1' }, 'target must be a number'],
    [{ queue: 'jobs', target: '1e9' }, 'target must be a number'],
    [{ queue: 'jobs', target: '99999999999999999999' }, 'target must be a number'],
    [{ queue: 'jobs', targetLagSeconds: '0' }, 'targetLagSeconds must be above 0'],
    [{ queue: 'jobs', targetLagSeconds: 'soon' }, 'targetLagSeconds must be a number'],
    [{ queue: 'jobs', activation: 'x' }, 'activation must be a number'],
    [{ queue: 'jobs', includeInflight: 'yes' }, 'includeInflight is "true" or "false"'],
  ])('%j is refused with what is wrong', (metadata, message) => {
    expect(read(metadata)).toContain(message);
  });
});
