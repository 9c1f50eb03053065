import { expect, test } from '@jest/globals';
import type { Command } from '@sluice/queue/machine/command/commands';
import type { IndexRow } from '@sluice/queue/machine/row/index-row';
import type { Partition } from '../../src/partition/partition.ts';
import { ExpiredHeads } from '../../src/sweep/expired-heads.ts';

/** The rows 0, 1 and 2 of a queue, an entry each, all dead. */
function setUp() {
  const rows = [0, 1, 2].map((base) => ({
    base,
    count: 1,
    entryIndex: base,
    nextLive: (offset: number) => (offset <= base ? base : -1),
    expiresAtMsOf: () => 1,
  }));
  const resumption = { heldUpTo: -1, mayBeHeld: (entryIndex: number) => entryIndex <= resumption.heldUpTo };
  const partition = {
    leads: true,
    resumption,
    dispatches: { get: () => undefined },
    queues: { queueCount: 1, queue: () => (rows[0] === undefined ? undefined : { head: rows[0].base }) },
    index: {
      recent: () => undefined,
      rowsFrom: async (_queueId: number, from: number, limit: number) =>
        rows.filter(({ base }) => base >= from).slice(0, limit) as unknown as IndexRow[],
    },
    execute: async (command: Command) => {
      if (command.type !== 'drop-rows') throw new Error(command.type);
      rows.splice(0, command.rowBases.length);
      return { type: 'dropped', count: command.rowBases.length };
    },
  };
  const lives: number[] = [];
  const heads = new ExpiredHeads(partition as unknown as Partition, (_queueId, head) => lives.push(head.base));
  return { heads, resumption, lives, left: () => rows.map(({ base }) => base) };
}

test('what a worker of a former leader may hold stays until that is known', async () => {
  const { heads, resumption, lives, left } = setUp();
  resumption.heldUpTo = 0;
  await heads.look(1, 10);
  expect([left(), lives]).toEqual([[0, 1, 2], [0]]);
  expect(heads.isDue({ queueId: 1, head: 0 }, 10)).toBe(false);
  expect(heads.isDue({ queueId: 1, head: 0 }, 1_010)).toBe(true);
  resumption.heldUpTo = -1;
  await heads.look(1, 1_010);
  expect(left()).toEqual([]);
});

test('what was looked at of queues that are gone is forgotten', async () => {
  const { heads, resumption, lives } = setUp();
  resumption.heldUpTo = 0;
  for (const queueId of [1, 2]) await heads.look(queueId, 10);
  await heads.look(3, 10_000);
  expect(lives).toEqual([0, 0, 0]);
  resumption.heldUpTo = -1;
  await heads.look(1, 20_000);
  heads.forgetGone();
  expect(heads.isDue({ queueId: 2, head: 0 }, 10)).toBe(true);
});
