import { describe, expect, test } from '@jest/globals';
import { Outbox } from '@sluice/bench/load/outbox';
import { Pace, TIMER_SLACK_US } from '@sluice/bench/load/pace';
import { STAMP_BYTES, Stamp, writeStamp } from '@sluice/bench/load/stamp';

const OPTIONS = { run: 7, publisher: 3, window: 4, messagesMax: 0, keys: 1 };

/** An outbox whose driver notes the sequences it took. */
function opened(options: Partial<typeof OPTIONS>, allowance = { left: 1_000 }) {
  const taken: number[] = [];
  const bytes = Buffer.alloc(STAMP_BYTES);
  const outbox = new Outbox({ ...OPTIONS, ...options }, allowance);
  const send = (count: number) => {
    for (let i = 0; i < count; i++) taken.push(outbox.next(bytes, 0));
  };
  outbox.open(send, () => true, 0);
  return { outbox, taken, bytes };
}

describe('an outbox', () => {
  test('sends its window, and one for each answer, also when that is a refusal', () => {
    const { outbox, taken } = opened({});
    expect(taken).toEqual([0, 1, 2, 3]);
    outbox.acknowledged(1);
    outbox.refused(0);
    outbox.answered();
    expect(taken).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test('stops where the backlog is full, and at its last message', () => {
    const allowance = { left: 2 };
    const { outbox, taken } = opened({ messagesMax: 3 }, allowance);
    expect(taken).toEqual([0, 1]);
    allowance.left = 100;
    outbox.answered();
    expect(taken).toEqual([0, 1, 2]);
    expect(outbox.isDone).toBe(true);
  });

  test('sends nothing once it is closed', () => {
    const { outbox, taken } = opened({});
    outbox.close();
    for (const sequence of taken) outbox.acknowledged(sequence);
    outbox.answered();
    expect(taken).toHaveLength(4);
    expect(outbox.unanswered).toBe(0);
  });

  test('accounts for what was acknowledged', () => {
    const { outbox } = opened({});
    outbox.acknowledged(2);
    const { sent, acknowledged, publisher } = outbox.account();
    expect([publisher, sent, acknowledged[0]]).toEqual([3, 4, 0b100]);
  });
});

describe('a pace', () => {
  test('has due what the time makes due, and at another rate goes on from there', () => {
    const pace = new Pace(1_000, 0);
    expect(pace.dueUntil(10_000)).toBe(10);
    pace.change(100, 10_000, 10);
    expect(pace.dueUntil(20_000)).toBe(11);
    // What was overdue is forgotten.
    pace.change(100, 30_000, 5);
    expect(pace.dueUntil(30_000)).toBe(5);
    expect(pace.dueUntil(50_000)).toBe(7);
  });

  test('a late message counts from when it was due; the lateness of a timer does not count', () => {
    const pace = new Pace(1_000, 0);
    expect(pace.startOf(9, 10_000 + TIMER_SLACK_US)).toBe(10_000 + TIMER_SLACK_US);
    expect(pace.startOf(9, 50_000)).toBe(10_000);
  });
});

describe('a stamp', () => {
  test('is read as it was written, anywhere in a buffer', () => {
    const bytes = Buffer.alloc(100);
    writeStamp(bytes, 11, 0xabcdef, 65_535, 2 ** 40, 123_456.5);
    const stamp = new Stamp();
    expect(stamp.read(bytes.subarray(11), 0xabcdef)).toBe(true);
    expect([stamp.publisher, stamp.sequence, stamp.dueUs]).toEqual([65_535, 2 ** 40, 123_456.5]);
  });

  test('of another run, or none at all, is not taken', () => {
    const bytes = Buffer.alloc(STAMP_BYTES);
    writeStamp(bytes, 0, 0x000101, 1, 1, 1);
    for (const run of [0x000201, 0x000102]) expect(new Stamp().read(bytes, run)).toBe(false);
    expect(new Stamp().read(bytes.subarray(1), 0x000101)).toBe(false);
    expect(new Stamp().read(Buffer.alloc(STAMP_BYTES), 0)).toBe(false);
  });
});
