import { beforeEach, describe, expect, test } from '@jest/globals';
import type { Command } from '@sluice/queue/machine/command/commands';
import type { IndexRow } from '@sluice/queue/machine/row/index-row';
import type { Partition } from '../../src/partition/partition.ts';
import { ExpiredBehind } from '../../src/sweep/expired-behind.ts';

/** Rows of one record each, appended long ago. */
class FakePartition {
  readonly leads = true;
  readonly resumption = undefined;
  /** By base: when it expires, 0 for never. */
  readonly rows = new Map<number, number>();
  reads = 0;

  tail = 1;

  readonly queues = { queueCount: 1, queue: () => ({ queueId: 1, head: 0, tail: this.tail }) };
  readonly index = {
    rowsFrom: async (_queueId: number, from: number, limit: number): Promise<IndexRow[]> => {
      this.reads++;
      const found: IndexRow[] = [];
      for (let base = from; base < this.tail && found.length < limit; base++) {
        const expiresAtMs = this.rows.get(base);
        if (expiresAtMs !== undefined) found.push(rowOf(base, expiresAtMs));
      }
      return found;
    },
  };
  readonly dispatches = { get: () => undefined };

  async execute(command: Command): Promise<{ type: 'dropped'; count: number }> {
    if (command.type !== 'drop-rows') throw new Error(command.type);
    for (const base of command.rowBases) this.rows.delete(base);
    return { type: 'dropped', count: command.rowBases.length };
  }
}

function rowOf(base: number, expiresAtMs: number): IndexRow {
  return {
    base,
    count: 1,
    entryIndex: base,
    appendedAtMs: 0,
    nextLive: (offset: number) => (offset <= base ? base : -1),
    expiresAtMsOf: () => expiresAtMs,
  } as unknown as IndexRow;
}

const { READ_ROWS_MAX, TURN_READS_MAX, STRETCHES_MAX, SETTLED_MS, AGAIN_MS } = ExpiredBehind;
let partition: FakePartition;
let behind: ExpiredBehind;
let nowMs: number;

beforeEach(() => {
  partition = new FakePartition();
  behind = new ExpiredBehind(partition as unknown as Partition);
  nowMs = SETTLED_MS;
  partition.rows.set(0, 0);
  behind.begin(1, rowOf(0, 0));
});

function fill(count: number, expiresAtMs: (base: number) => number): void {
  for (let base = 1; base < count; base++) partition.rows.set(base, expiresAtMs(base));
  partition.tail = count;
}

/** Returns how much was read. */
async function turn(): Promise<number> {
  const before = partition.reads;
  behind.ask(partition.queues.queue(), nowMs);
  await behind.turn(nowMs);
  return partition.reads - before;
}

describe('rows behind a head that lives', () => {
  test('are read once when none of them ever expires, a bounded number a turn', async () => {
    fill(READ_ROWS_MAX * (TURN_READS_MAX + 2), () => 0);
    expect([await turn(), await turn(), await turn()]).toEqual([TURN_READS_MAX, 2, 0]);
    nowMs += 1_000_000;
    expect(await turn()).toBe(0);
    partition.rows.set(partition.tail++, 0);
    expect([await turn(), await turn()]).toEqual([1, 0]);
  });

  test('are read again only where something has died since', async () => {
    const dyingAt = 3 * READ_ROWS_MAX + 7;
    fill(READ_ROWS_MAX * 5, (base) => (base === dyingAt ? nowMs + 60_000 : 0));
    expect(await turn()).toBe(5);
    nowMs += 59_999;
    expect(await turn()).toBe(0);
    nowMs += 1;
    expect(await turn()).toBe(1);
    expect([partition.rows.has(dyingAt), partition.rows.size]).toEqual([false, 5 * READ_ROWS_MAX - 1]);
    nowMs += 1_000_000;
    expect(await turn()).toBe(0);
  });

  test('are not read while they are new', async () => {
    behind.begin(2, { ...rowOf(0, 0), appendedAtMs: nowMs } as IndexRow);
    behind.ask({ queueId: 2, tail: 10 }, nowMs);
    await behind.turn(nowMs);
    expect(partition.reads).toBe(0);
  });

  test('are all found however many they are, with a bounded memory of them', async () => {
    const rows = READ_ROWS_MAX * (STRETCHES_MAX + 3);
    const endMs = nowMs + 1_000_000;
    fill(rows, (base) => (base % 2 === 0 ? endMs + 1 : endMs));
    for (let reads = -1; reads !== 0; reads = await turn());
    nowMs = endMs;
    for (let reads = -1; reads !== 0; reads = await turn());
    expect(partition.rows.size).toBe(rows / 2);
    nowMs += 2 * AGAIN_MS;
    for (let reads = -1; reads !== 0; reads = await turn());
    expect([...partition.rows.keys()]).toEqual([0]);
  });
});

test('queues have their turn in the order of coming, and one that is long lets the others have theirs', async () => {
  fill(READ_ROWS_MAX * TURN_READS_MAX * 2, () => 0);
  behind.begin(2, rowOf(0, 0));
  const { tail } = partition;
  const asked: number[] = [];
  const { rowsFrom } = partition.index;
  partition.index.rowsFrom = (queueId, from, limit) => {
    asked.push(queueId);
    return rowsFrom(queueId, from, limit);
  };
  for (let i = 0; i < 2; i++) {
    for (const queueId of [1, 2]) behind.ask({ queueId, tail }, nowMs);
    await behind.turn(nowMs);
  }
  expect(asked).toEqual([...Array(TURN_READS_MAX).fill(1), ...Array(TURN_READS_MAX).fill(2)]);
});
