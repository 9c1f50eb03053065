import { describe, expect, test } from '@jest/globals';
import { SettleCursor, SettleOutcome } from '@sluice/queue/machine/settle-cursor';
import fc from 'fast-check';
import { SettleBatcher, toRanges } from '../src/settle-batcher.ts';

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

describe('what a turn settled', () => {
  test('is one command of ranges, rows and outcomes apart', async () => {
    const commands: Uint8Array[] = [];
    const batcher = new SettleBatcher((command) => commands.push(command as Uint8Array));
    for (const offset of [3, 1, 2]) batcher.accepted(1, 0, offset);
    batcher.returned(1, 0, 5);
    batcher.expired(1, 10, 12);
    batcher.accepted(2, 0, 0);
    expect(commands).toEqual([]);
    await turn();
    expect(commands).toHaveLength(1);
    expect(decoded(commands[0] as Uint8Array)).toEqual([
      { queueId: 1, rowBase: 0, outcome: 'ACCEPTED', from: 1, to: 4 },
      { queueId: 1, rowBase: 0, outcome: 'RETURNED', from: 5, to: 6 },
      { queueId: 1, rowBase: 10, outcome: 'EXPIRED', from: 12, to: 13 },
      { queueId: 2, rowBase: 0, outcome: 'ACCEPTED', from: 0, to: 1 },
    ]);
  });

  test('nothing is proposed when nothing was settled, and the next turn is a command of its own', async () => {
    const commands: Uint8Array[] = [];
    const batcher = new SettleBatcher((command) => commands.push(command as Uint8Array));
    batcher.flush();
    expect(commands).toEqual([]);
    batcher.accepted(1, 0, 0);
    batcher.flush();
    await turn();
    expect(commands).toHaveLength(1);
    batcher.accepted(1, 0, 1);
    await turn();
    expect(commands).toHaveLength(2);
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
