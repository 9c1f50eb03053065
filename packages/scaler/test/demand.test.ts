import { describe, expect, test } from '@jest/globals';
import { demand, isActive, shareOf, type Workload } from '../src/demand.ts';
import { readTrigger, type Trigger } from '../src/trigger.ts';

const trigger = (settings: Record<string, string> = {}) =>
  readTrigger(new Map(Object.entries({ queue: 'jobs', ...settings }))) as Trigger;
const workload = (ready: number, inflight: number, consumers: number): Workload => ({
  lagMessages: ready + inflight,
  readyMessages: ready,
  inflightMessages: inflight,
  consumers,
  acceptedTotal: 0,
});
/** What KEDA makes of it. */
const replicas = (of: Trigger, load: Workload, perWorker?: number) =>
  Math.ceil(demand(of, load, perWorker) / shareOf(of));

describe('how many workers', () => {
  test('by messages: a share each, rounded up', () => {
    const ten = trigger({ target: '10' });
    expect(replicas(ten, workload(0, 0, 0))).toBe(0);
    expect(replicas(ten, workload(1, 0, 0))).toBe(1);
    expect(replicas(ten, workload(10, 0, 0))).toBe(1);
    expect(replicas(ten, workload(11, 0, 0))).toBe(2);
    expect(replicas(ten, workload(995, 5, 5))).toBe(100);
  });

  test('a worker with its last message is not taken away', () => {
    const ten = trigger({ target: '10' });
    expect(replicas(ten, workload(0, 3, 3))).toBe(3);
    expect(replicas(ten, workload(0, 1, 3))).toBe(1);
    expect(replicas(ten, workload(0, 0, 3))).toBe(0);
  });

  test('unless what is in flight is not to count', () => {
    const waiting = trigger({ target: '10', includeInflight: 'false' });
    expect(replicas(waiting, workload(0, 3, 3))).toBe(0);
    expect(replicas(waiting, workload(20, 3, 3))).toBe(2);
    expect(isActive(waiting, workload(0, 3, 3))).toBe(false);
  });

  test('by time: as many as are done in time at the pace that was shown', () => {
    const minute = trigger({ targetLagSeconds: '60' });
    // A job takes a worker 12 seconds: five a minute.
    expect(replicas(minute, workload(100, 0, 2), 1 / 12)).toBe(20);
    expect(replicas(minute, workload(1, 0, 2), 1 / 12)).toBe(1);
    expect(replicas(minute, workload(0, 0, 2), 1 / 12)).toBe(0);
    expect(replicas(minute, workload(0, 4, 9), 1 / 12)).toBe(4);
  });

  test('by time: no more than there are messages, however slow the pace was', () => {
    const minute = trigger({ targetLagSeconds: '60' });
    // Jobs of ten minutes: each message has its worker, and one more would have nothing to do.
    expect(replicas(minute, workload(3, 0, 0), 1 / 600)).toBe(3);
    expect(replicas(minute, workload(1, 2, 2), 1 / 600)).toBe(3);
    // Workers that finish nothing for hours: the pace fades to less than any number of workers could make up for.
    expect(replicas(minute, workload(996, 4, 4), 1e-30)).toBe(1_000);
    expect(replicas(minute, workload(996, 4, 4), Number.MIN_VALUE)).toBe(1_000);
  });

  test('by time, before anything was finished: the first, and then those that are there', () => {
    const minute = trigger({ targetLagSeconds: '60' });
    expect(replicas(minute, workload(500, 0, 0))).toBe(1);
    expect(replicas(minute, workload(500, 3, 3))).toBe(3);
  });

  test('active: more than the stated number', () => {
    expect(isActive(trigger(), workload(1, 0, 0))).toBe(true);
    expect(isActive(trigger(), workload(0, 1, 1))).toBe(true);
    expect(isActive(trigger(), workload(0, 0, 1))).toBe(false);
    expect(isActive(trigger({ activation: '5' }), workload(5, 0, 0))).toBe(false);
    expect(isActive(trigger({ activation: '5' }), workload(6, 0, 0))).toBe(true);
  });
});
