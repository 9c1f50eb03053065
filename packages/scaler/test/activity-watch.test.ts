import { EventEmitter } from 'node:events';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { ActivityWatch } from '../src/activity-watch.ts';
import { Scaler } from '../src/scaler.ts';
import { scalerHandlers } from '../src/scaler-service.ts';

const TRIGGER = { queue: 'jobs', share: { messages: 10 }, includeInflight: true, activation: 0 };

describe('who looks after those that wait for the first message', () => {
  beforeEach(() => void jest.useFakeTimers());
  afterEach(() => void jest.useRealTimers());

  test('nobody, once the last of them is gone', () => {
    const watch = new ActivityWatch({ statistics: async () => ({ ok: true, value: new Map() }) });
    const stops = [watch.watch(TRIGGER, () => {}), watch.watch(TRIGGER, () => {})];
    expect(jest.getTimerCount()).toBe(1);
    stops[0]?.();
    expect(jest.getTimerCount()).toBe(1);
    stops[1]?.();
    expect(jest.getTimerCount()).toBe(0);
  });

  test('go on after a question that failed', async () => {
    let asked = 0;
    const statistics = async () => {
      if (++asked === 1) throw new Error('of a test');
      return { ok: true as const, value: new Map() };
    };
    const watch = new ActivityWatch({ statistics });
    await expect(watch.look()).rejects.toThrow('of a test');
    await watch.look();
    expect(asked).toBe(2);
  });

  test.each(['cancelled', 'close'])('a stream that ends (%s) waits no more', (event) => {
    const queues = { get: async () => ({ ok: false }), statistics: async () => ({ ok: true, value: new Map() }) };
    const scaler = new Scaler({ queues: queues as never, clock: { nowMs: () => 0, monotonicMs: () => 0 } as never });
    const call = Object.assign(new EventEmitter(), { request: { scalerMetadata: { queue: 'jobs' } }, write: () => {} });
    scalerHandlers(scaler, () => {}).streamIsActive(call as never);
    expect(jest.getTimerCount()).toBe(1);
    call.emit(event);
    expect(jest.getTimerCount()).toBe(0);
  });
});
