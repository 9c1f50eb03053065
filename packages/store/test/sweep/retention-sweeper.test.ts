import { describe, expect, test } from '@jest/globals';
import { silentLogger } from '@sluice/common/logger';
import { Topology } from '@sluice/meta/topology';
import type { Partition } from '../../src/partition/partition.ts';
import { RetentionSweeper } from '../../src/sweep/retention-sweeper.ts';
import { DEFINITION, imageOf } from '../support/test-store.ts';

/** A partition with queue 1, whose records are known by when they were appended. */
function setUp(dataRetentionMs: number) {
  const topology = new Topology();
  const define = (retentionMs: number): void => {
    const epoch = topology.epoch + 1;
    topology.reset({
      ...imageOf([]),
      epoch,
      queues: [{ ...DEFINITION, version: epoch, dataRetentionMs: retentionMs }],
    });
  };
  define(dataRetentionMs);
  const state = {
    nowMs: 0,
    appended: [] as number[],
    looks: 0,
    leadershipEnds: false,
    during: async (): Promise<void> => {},
  };
  const partition = {
    leads: true,
    isTimely: true,
    sessions: { sent: { turnEnded: () => {} } },
    queues: {
      queueCount: 1,
      filledQueues: () => (state.appended.length > 0 ? [{ queueId: 1, isRemoved: false }] : []),
      queue: () => undefined,
    },
    dropper: {
      expire: async (_queueId: number, beforeMs: number) => {
        state.looks++;
        if (state.leadershipEnds) return undefined;
        state.appended = state.appended.filter((atMs) => atMs >= beforeMs);
        const oldest = state.appended[0] ?? 0;
        await state.during();
        return oldest;
      },
    },
  } as unknown as Partition;
  const partitions = new Map([[1, partition]]);
  const sweeper = new RetentionSweeper({
    partitions,
    topology,
    clock: { nowMs: () => state.nowMs, monotonicMs: () => state.nowMs },
    logger: silentLogger,
  });
  const sweepAt = async (nowMs: number): Promise<void> => {
    state.nowMs = nowMs;
    await sweeper.sweep();
  };
  return { state, partitions, sweeper, sweepAt, define };
}

describe('retention', () => {
  test('drops what is too old and looks again only when the oldest left is due', async () => {
    const { state, sweepAt } = setUp(1000);
    state.appended = [100, 600];
    await sweepAt(1000);
    expect([state.looks, state.appended]).toEqual([1, [100, 600]]);
    await sweepAt(1099);
    expect(state.looks).toBe(1);
    await sweepAt(1101);
    expect([state.looks, state.appended]).toEqual([2, [600]]);
    await sweepAt(1599);
    expect(state.looks).toBe(2);
    await sweepAt(1601);
    expect(state.appended).toEqual([]);
  });

  test('an empty queue costs no look, and what enters it later leaves in time', async () => {
    const { state, sweepAt } = setUp(1000);
    await sweepAt(5000);
    expect(state.looks).toBe(0);
    state.appended = [5500];
    for (let nowMs = 5500; nowMs <= 7600; nowMs += 100) await sweepAt(nowMs);
    expect(state.appended).toEqual([]);
    expect(state.looks).toBeLessThanOrEqual(3);
  });

  test('a period made shorter acts on the next sweep, also when it came during one', async () => {
    const { state, sweeper, sweepAt, define } = setUp(100_000);
    state.appended = [1000];
    state.during = async () => {
      state.during = async () => {};
      define(500);
      sweeper.definitionsChanged([1]);
    };
    await sweepAt(2000);
    expect(state.appended).toEqual([1000]);
    await sweepAt(2001);
    expect(state.appended).toEqual([]);
  });

  test('a walk that its leadership did not let end is begun again', async () => {
    const { state, sweepAt } = setUp(1000);
    state.appended = [100];
    state.leadershipEnds = true;
    await sweepAt(2000);
    state.leadershipEnds = false;
    await sweepAt(2001);
    expect([state.looks, state.appended]).toEqual([2, []]);
  });

  test('a partition of which a row cannot be read keeps nothing of the others', async () => {
    const { state, partitions, sweepAt } = setUp(1000);
    const whole = partitions.get(1) as Partition;
    const broken = {
      ...whole,
      dropper: {
        expire: async () => {
          throw new Error('a row does not match its checksum');
        },
      },
    } as unknown as Partition;
    partitions.clear();
    partitions.set(1, broken).set(2, whole);
    state.appended = [100];
    await sweepAt(2000);
    expect(state.appended).toEqual([]);
  });
});
