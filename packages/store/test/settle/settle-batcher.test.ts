import { beforeEach, describe, expect, test } from '@jest/globals';
import { SettleCursor, SettleOutcome } from '@sluice/queue/machine/apply/settle-cursor';
import fc from 'fast-check';
import { SettleBatcher, type SettleReceipt, toRanges } from '../../src/settle/settle-batcher.ts';

interface Settled {
  queueId: number;
  rowBase: number;
  outcome: string;
  from: number;
  to: number;
}

function decoded(command: Uint8Array): Settled[] {
  const cursor = new SettleCursor();
  cursor.reset(command);
  const all: Settled[] = [];
  while (cursor.nextHead());
  while (cursor.nextRow()) {
    while (cursor.nextRange()) {
      const outcome = Object.entries(SettleOutcome).find(([, value]) => value === cursor.outcome)?.[0] ?? '?';
      all.push({ queueId: cursor.queueId, rowBase: cursor.rowBase, outcome, from: cursor.from, to: cursor.to });
    }
  }
  return all;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

describe('what was settled', () => {
  let commands: Uint8Array[];
  let receipts: SettleReceipt[];
  let batcher: SettleBatcher;
  /** Set while it waits for a turn that others write; a second time at once would be told twice. */
  let withTurn: (() => void) | undefined;
  let asked: number;

  beforeEach(() => {
    commands = [];
    receipts = [];
    withTurn = undefined;
    asked = 0;
    batcher = new SettleBatcher(
      (command, taken) => {
        if (command !== undefined) commands.push(command);
        receipts.push(...taken);
      },
      (flush) => {
        asked++;
        withTurn = flush;
      },
    );
  });

  const receipt = (): SettleReceipt => ({ isTaken: false, confirmed: () => {} });

  test('keeps the order in which one record was given back, and back again, and accepted', () => {
    batcher.returned(1, 0, 5);
    batcher.returned(1, 0, 6);
    batcher.returned(1, 0, 5);
    batcher.accepted(1, 0, 5);
    batcher.accepted(1, 0, 7);
    batcher.flush();
    expect(commands).toHaveLength(1);
    expect(decoded(commands[0] as Uint8Array).map(({ outcome, from, to }) => [outcome, from, to])).toEqual([
      ['RETURNED', 5, 7],
      ['RETURNED', 5, 6],
      ['ACCEPTED', 5, 6],
      ['ACCEPTED', 7, 8],
    ]);
    batcher.accepted(1, 0, 6);
    batcher.flush();
    expect(decoded(commands[1] as Uint8Array)).toHaveLength(1);
  });

  test('is one command of ranges, rows and outcomes apart', () => {
    for (const offset of [3, 1, 2]) batcher.accepted(1, 0, offset);
    batcher.returned(1, 0, 5);
    batcher.expired(1, 10, 12);
    batcher.accepted(2, 0, 0);
    batcher.flush();
    expect(commands).toHaveLength(1);
    expect(decoded(commands[0] as Uint8Array)).toEqual([
      { queueId: 1, rowBase: 0, outcome: 'ACCEPTED', from: 1, to: 4 },
      { queueId: 1, rowBase: 0, outcome: 'RETURNED', from: 5, to: 6 },
      { queueId: 1, rowBase: 10, outcome: 'EXPIRED', from: 12, to: 13 },
      { queueId: 2, rowBase: 0, outcome: 'ACCEPTED', from: 0, to: 1 },
    ]);
  });

  test('names each row once, however the rows of several queues are mixed', () => {
    for (const offset of [0, 10, 1, 20, 11, 2, 21]) {
      for (const queueId of [1, 2]) batcher.accepted(queueId, offset - (offset % 10), offset);
    }
    batcher.flush();
    const ranges = (queueId: number): Settled[] =>
      [
        [0, 3],
        [10, 2],
        [20, 2],
      ].map(([rowBase = 0, count = 0]) => ({
        ...{ queueId, rowBase, outcome: 'ACCEPTED' },
        ...{ from: rowBase, to: rowBase + count },
      }));
    const byQueue = decoded(commands[0] as Uint8Array).sort((a, b) => a.queueId - b.queueId || a.rowBase - b.rowBase);
    expect(byQueue).toEqual([...ranges(1), ...ranges(2)]);
  });

  test('goes with a turn that others write, with all that came until then, and asks for it once', async () => {
    batcher.accepted(1, 0, 0);
    await turn();
    batcher.accepted(1, 0, 1);
    expect(commands).toEqual([]);
    expect(asked).toBe(1);
    withTurn?.();
    expect(commands).toHaveLength(1);
    expect(decoded(commands[0] as Uint8Array)).toEqual([
      { queueId: 1, rowBase: 0, outcome: 'ACCEPTED', from: 0, to: 2 },
    ]);
    batcher.accepted(1, 0, 2);
    expect(asked).toBe(2);
  });

  test('waits no longer than its turn when it is much; what comes behind it goes with the turn that was asked for', async () => {
    for (let offset = 0; offset < SettleBatcher.RECORDS_MAX; offset++) batcher.accepted(1, 0, offset);
    batcher.accepted(1, 0, 1000);
    expect(commands).toEqual([]);
    await turn();
    expect(commands).toHaveLength(1);
    expect(decoded(commands[0] as Uint8Array)).toHaveLength(2);
    batcher.accepted(1, 0, 1001);
    expect(asked).toBe(1);
    withTurn?.();
    expect(commands).toHaveLength(2);
    batcher.accepted(1, 0, 1002);
    expect(asked).toBe(2);
  });

  test('proposes nothing with the turn that it asked for when all went before', async () => {
    for (let offset = 0; offset < SettleBatcher.RECORDS_MAX; offset++) batcher.accepted(1, 0, offset);
    await turn();
    withTurn?.();
    expect(commands).toHaveLength(1);
  });

  test('takes its receipts along; without it they need not wait', async () => {
    const [settled, repeated] = [receipt(), receipt()];
    batcher.accepted(1, 0, 0);
    batcher.confirm(settled);
    await turn();
    expect(receipts).toEqual([]);
    batcher.flush();
    expect(receipts).toEqual([settled]);
    expect(settled.isTaken).toBe(true);
    batcher.confirm(repeated);
    await turn();
    expect(receipts).toEqual([settled, repeated]);
    expect(commands).toHaveLength(1);
  });

  test('is forgotten with the leadership, and its receipts are', () => {
    const given = receipt();
    batcher.accepted(1, 0, 0);
    batcher.confirm(given);
    batcher.clear();
    batcher.flush();
    withTurn?.();
    expect(commands).toEqual([]);
    expect(receipts).toEqual([]);
    expect(given.isTaken).toBe(true);
  });

  test('nothing is proposed when nothing was settled', () => {
    batcher.flush();
    expect(commands).toEqual([]);
  });
});

test('ranges cover exactly the offsets, ascend and do not touch', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(40)), (offsets) => {
      const ranges = toRanges([...offsets]);
      const covered: number[] = [];
      for (let i = 0; i < ranges.length; i += 2) {
        if (i > 0) expect(ranges[i]).toBeGreaterThan(ranges[i - 1] as number);
        for (let offset = ranges[i] as number; offset < (ranges[i + 1] as number); offset++) covered.push(offset);
      }
      expect(covered).toEqual([...new Set(offsets)].sort((a, b) => a - b));
    }),
  );
});
