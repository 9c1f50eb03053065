import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { RecordBatchBuilder } from '@sluice/queue/record/record-batch-builder';
import { plainRecord } from '../../../../test/harness/plain-record.ts';
import { type BalancedQueue, IntakeBalance } from '../../src/dispatch/intake-balance.ts';

const { BEHIND_MIN, HELD_BYTES_MAX, ROUND_TRIP_PASSES_MAX } = IntakeBalance;
const WINDOW = 100;
const pass = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface Queue extends BalancedQueue {
  behind: number;
  held: number;
  accepted: number;
}

function batchFor(queueIds: readonly number[], payloadBytes = 1): Uint8Array {
  const builder = new RecordBatchBuilder();
  const payload = new Uint8Array(payloadBytes);
  for (const queueId of queueIds) builder.add(plainRecord([{ queueId, key: undefined }], { payload }));
  return builder.finish();
}

let balance: IntakeBalance;
let queue: Queue;
let answered: string[];
const commit = (name: string, batch = batchFor([1, 1])): void => balance.committed(batch, () => answered.push(name));

/** Its consumers accept so many in each of some passes. */
async function accepting(count: number, passes: number): Promise<void> {
  for (let i = 0; i < passes; i++) {
    queue.accepted += count;
    balance.committed(batchFor([9]), () => {});
    await pass();
  }
}

beforeEach(() => {
  balance = new IntakeBalance();
  queue = { queueId: 1, behind: BEHIND_MIN, held: WINDOW, accepted: 0 };
  answered = [];
});

afterEach(() => balance.forget(1));

describe('answers to publishers', () => {
  test('are given at once while little is behind, however fast consumers are', async () => {
    queue.behind = BEHIND_MIN - 1;
    balance.look(queue);
    await accepting(WINDOW, 10);
    commit('a');
    expect(answered).toEqual(['a']);
  });

  test('wait for acceptances where consumers wait for this process, a record for a record', async () => {
    balance.look(queue);
    await accepting(WINDOW, 10);
    for (const name of ['a', 'b', 'c', 'd']) commit(name);
    expect(answered).toEqual([]);
    queue.accepted += 4;
    await pass();
    // Two records each.
    expect(answered).toEqual(['a', 'b']);
    queue.accepted += 1;
    await pass();
    expect(answered).toEqual(['a', 'b', 'c']);
    queue.accepted += 1;
    await pass();
    expect(answered).toEqual(['a', 'b', 'c']);
    queue.accepted += 1;
    await pass();
    expect(answered).toEqual(['a', 'b', 'c', 'd']);
  });

  test('are given at once for a queue whose workers are slow', async () => {
    balance.look(queue);
    await accepting(Math.floor(WINDOW / ROUND_TRIP_PASSES_MAX) - 1, 50);
    commit('a');
    expect(answered).toEqual(['a']);
  });

  test('do not wait for workers that stop, or turn out to be slow', async () => {
    balance.look(queue);
    await accepting(WINDOW, 10);
    commit('a');
    let passes = 0;
    for (; answered.length === 0; passes++) await pass();
    expect(passes).toBeLessThan(10 * ROUND_TRIP_PASSES_MAX);
    commit('b');
    expect(answered).toEqual(['a', 'b']);
  });

  test('for other queues of the partition are given at once', async () => {
    balance.look(queue);
    await accepting(WINDOW, 10);
    commit('other', batchFor([2]));
    commit('both', batchFor([2, 1]));
    expect(answered).toEqual(['other']);
  });

  test('are given when the backlog is gone, or its leadership', async () => {
    balance.look(queue);
    await accepting(WINDOW, 10);
    commit('a');
    queue.behind = 0;
    await pass();
    expect(answered).toEqual(['a']);
    queue.behind = BEHIND_MIN;
    balance.look(queue);
    await accepting(WINDOW, 10);
    commit('b');
    balance.forget(1);
    expect(answered).toEqual(['a', 'b']);
    commit('c');
    expect(answered).toEqual(['a', 'b', 'c']);
  });

  test('that wait are no more than so many bytes: the oldest goes first', async () => {
    balance.look(queue);
    await accepting(WINDOW, 10);
    const half = batchFor([1], HELD_BYTES_MAX / 2);
    commit('a', half);
    expect(answered).toEqual([]);
    commit('b', half);
    expect(answered).toEqual(['a']);
    // Nor is it owed: the next acceptance is for the next.
    queue.accepted++;
    await pass();
    expect(answered).toEqual(['a', 'b']);
  });

  test('that were given because workers seemed slow are not owed when they are fast again', async () => {
    balance.look(queue);
    await accepting(WINDOW, 10);
    commit('a', batchFor(Array.from({ length: 100 }, () => 1)));
    while (answered.length === 0) await pass();
    await accepting(WINDOW, 10);
    commit('b');
    expect(answered).toEqual(['a']);
    queue.accepted++;
    await pass();
    expect(answered).toEqual(['a', 'b']);
  });
});
