import { beforeEach, describe, expect, test } from '@jest/globals';
import { silentLogger } from '@sluice/common/logger';
import type { Command } from '@sluice/queue/machine/command/commands';
import type { IndexRow } from '@sluice/queue/machine/row/index-row';
import type { Partition } from '../../src/partition/partition.ts';
import { RowDropper } from '../../src/sweep/row-dropper.ts';
import { rest } from '../support/test-store.ts';

/** Rows of one record each, and a log that applies what it is given when the test lets it. */
class FakePartition {
  leads = true;
  readonly rows = new Set<number>();
  readonly dropped: number[] = [];
  gate: Promise<void> | undefined;
  loses = false;
  countMax = Number.POSITIVE_INFINITY;

  readonly queues = {
    queue: () => {
      const depth = this.rows.size;
      const head = Math.min(...this.rows);
      const isOverLimit = depth > this.countMax;
      return { head, tail: 1000, depth, countMax: this.countMax, bytesMax: null, isOverLimit };
    },
  };
  /** In memory: the row at the head. */
  atHand: IndexRow | undefined;
  walks = 0;
  readonly walked = new Set<number>();
  /** So many times the disk cannot be read. */
  unreadable = 0;
  asked = 0;
  readonly index = {
    recent: (): IndexRow | undefined => this.atHand,
    rowsFrom: async (queueId: number, from: number): Promise<IndexRow[]> => {
      this.walked.add(queueId);
      this.asked++;
      if (this.unreadable-- > 0) throw new Error('the disk cannot be read');
      const found = [...this.rows].filter((base) => base >= from).slice(0, 2);
      this.walks++;
      await this.gate;
      return found.map((base) => ({
        base,
        count: 1,
        appendedAtMs: base,
        nextLive: (offset: number) => (offset === base ? base : -1),
        sizeBytesOf: () => 1,
      })) as unknown as IndexRow[];
    },
  };

  async execute(command: Command): Promise<{ type: 'dropped'; count: number } | undefined> {
    if (command.type !== 'drop-rows') throw new Error(command.type);
    await rest(1);
    if (this.loses || !this.leads) return undefined;
    for (const base of command.rowBases) if (this.rows.delete(base)) this.dropped.push(base);
    return { type: 'dropped', count: command.rowBases.length };
  }
}

let partition: FakePartition;
let dropper: RowDropper;
const failures: string[] = [];
beforeEach(() => {
  failures.length = 0;
  partition = new FakePartition();
  for (let base = 1; base <= 9; base++) partition.rows.add(base);
  dropper = new RowDropper(partition as unknown as Partition, {
    logger: silentLogger,
    events: { streamOverflowed: () => {}, dropFailed: (reason) => failures.push(reason) },
  });
});

/** Leadership ends, and begins again before anything of the former one has noticed. */
function leadershipComesBack(): void {
  partition.leads = false;
  dropper.stop();
  partition.leads = true;
}

function hold(): () => void {
  let release = (): void => {};
  partition.gate = new Promise((resolve) => {
    release = resolve;
  });
  return () => {
    partition.gate = undefined;
    release();
  };
}

describe('a walk whose leadership ends', () => {
  test('drops nothing more, and says that it came to no end', async () => {
    const release = hold();
    const purging = dropper.purge(1);
    const expiring = dropper.expire(1, 5);
    partition.leads = false;
    dropper.stop();
    release();
    expect([await purging, await expiring, partition.dropped]).toEqual([undefined, undefined, []]);
  });

  test('also when a command of it was lost', async () => {
    partition.loses = true;
    const purging = dropper.purge(1);
    const expiring = dropper.expire(1, 5);
    await rest(1);
    leadershipComesBack();
    expect([await purging, await expiring]).toEqual([undefined, undefined]);
  });

  test('keeps nobody from beginning it again: a removed queue is swept by the next leadership', async () => {
    const release = hold();
    dropper.sweepRemoved(1);
    await rest(1);
    leadershipComesBack();
    release();
    dropper.sweepRemoved(1);
    await rest();
    expect(partition.rows.size).toBe(0);
  });

  test('and a queue over its limit is trimmed by the next one, no further than to the limit', async () => {
    partition.countMax = 4;
    const release = hold();
    dropper.trim(1);
    await rest(1);
    leadershipComesBack();
    release();
    dropper.trim(1);
    await rest();
    expect([...partition.rows]).toEqual([6, 7, 8, 9]);
  });
});

describe('a walk that failed', () => {
  /** How many ticks it took until it was tried again. */
  async function ticksUntilTried(): Promise<number> {
    const before = partition.asked;
    for (let ticks = 1; ticks <= 2 * RowDropper.RETRY_TICKS_MAX; ticks++) {
      dropper.tick();
      await rest(1);
      if (partition.asked > before) return ticks;
    }
    return 0;
  }

  test('is begun again by the same leader, each time after twice as long, and then no more', async () => {
    partition.unreadable = 4;
    dropper.sweepRemoved(1);
    await rest(1);
    const ticks: number[] = [];
    for (let i = 0; i < 4; i++) ticks.push(await ticksUntilTried());
    await rest();
    const least = RowDropper.RETRY_TICKS_MIN;
    expect(ticks).toEqual([least, 2 * least, 4 * least, 8 * least]);
    expect([partition.rows.size, failures]).toEqual([0, Array(4).fill('removed')]);
    const { walks } = partition;
    for (let tick = 0; tick < 2 * RowDropper.RETRY_TICKS_MAX; tick++) dropper.tick();
    await rest();
    expect(partition.walks).toBe(walks);
  });

  test('waits no longer than so long, and not for the next leadership', async () => {
    partition.unreadable = 20;
    partition.countMax = 4;
    dropper.trim(1);
    await rest(1);
    let ticks = 0;
    for (let i = 0; i < 12; i++) ticks = await ticksUntilTried();
    expect([ticks, failures.at(-1)]).toEqual([RowDropper.RETRY_TICKS_MAX, 'overflow']);
    leadershipComesBack();
    expect(await ticksUntilTried()).toBe(0);
  });
});

test('one walk a queue and reason at a time', async () => {
  partition.countMax = 4;
  dropper.trim(1);
  dropper.trim(1);
  await rest();
  expect([...partition.rows]).toEqual([6, 7, 8, 9]);
});

describe('what is settled while a trim waits', () => {
  test('for its rows is not dropped as well', async () => {
    partition.countMax = 7;
    const release = hold();
    dropper.trim(1);
    await rest(1);
    partition.rows.delete(8);
    release();
    await rest();
    expect([...partition.rows]).toEqual([2, 3, 4, 5, 6, 7, 9]);
  });

  test('for its turn, neither: when nothing is too much any more, nothing is dropped', async () => {
    partition.countMax = 7;
    const release = hold();
    for (let queueId = 2; queueId <= 1 + RowDropper.STEPS_MAX; queueId++) void dropper.expire(queueId, 0);
    dropper.trim(1);
    await rest(1);
    partition.rows.delete(8);
    partition.rows.delete(9);
    release();
    await rest();
    expect([...partition.rows]).toEqual([1, 2, 3, 4, 5, 6, 7]);
    partition.rows.add(10);
    dropper.trim(1);
    await rest();
    expect([...partition.rows]).toEqual([2, 3, 4, 5, 6, 7, 10]);
  });
});

test('a thousand removed queues are swept a few at a time, and all of them', async () => {
  const release = hold();
  const swept = Array.from({ length: 1_000 }, (_, i) => i + 1);
  for (const queueId of swept) dropper.sweepRemoved(queueId);
  await rest(1);
  expect(partition.walks).toBe(RowDropper.STEPS_MAX);
  release();
  await rest();
  expect([partition.rows.size, partition.walked.size]).toEqual([0, 1_000]);
});

test('a queue whose oldest record is in memory, and not due, is not walked', async () => {
  partition.atHand = { appendedAtMs: 7 } as unknown as IndexRow;
  expect([await dropper.expire(1, 7), partition.walks]).toEqual([7, 0]);
  expect(await dropper.expire(1, 8)).toBe(8);
  expect([partition.dropped.at(-1), partition.walks > 0]).toEqual([7, true]);
});
