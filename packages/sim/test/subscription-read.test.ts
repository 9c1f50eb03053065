import { describe, expect, test } from '@jest/globals';
import { RetainedValues } from '../src/check/retained-values.ts';
import { SubscriptionRead } from '../src/check/subscription-read.ts';
import { found } from './support/checker-that-finds.ts';

const FULL = { topic: 'a', process: 'g2', qos: 1, sizeBytes: 3, expiryS: 0 };
const OPTIONS = {
  filter: '#',
  qos: 1,
  retainAsPublished: false,
  process: 'g1',
  mayBind: false,
  isKept: false,
  isStrict: true,
};

describe('what a subscription is owed of what is retained', () => {
  /** 1 was acknowledged at 10; 2 is under way from 95 on; asked at 100, answered at 110. */
  function asked(retainHandling: 0 | 1 | 2 = 0, second: Partial<typeof FULL> = {}) {
    const values = new RetainedValues();
    values.published({ ...FULL, id: 1, sentMs: 0 });
    values.acknowledged(1, 10);
    values.published({ ...FULL, ...second, id: 2, sentMs: 95 });
    const read = new SubscriptionRead('c', OPTIONS, values);
    read.asked(retainHandling, 100);
    read.subscribed(110);
    return { values, read };
  }

  function came(read: SubscriptionRead, id: number, retain: boolean, sizeBytes = 3): string {
    return found(() => read.came({ topic: 'a', id, qos: 1, retain, sizeBytes, expiryS: undefined }, 120, 5));
  }

  const owed = (read: SubscriptionRead, nowMs = 200): number[] => [...read.missing(nowMs)].map(({ id }) => id);

  test('the newest that was acknowledged, and what was under way', () => {
    const { values, read } = asked();
    expect(owed(read)).toEqual([1]);
    values.acknowledged(2, 130);
    expect(owed(read)).toEqual([2]);
    expect(came(read, 2, true)).toBe('');
    expect(owed(read)).toEqual([]);
  });

  test('not what its gateway took long to store, but then what was there before', () => {
    const { values, read } = asked();
    values.acknowledged(2, 5_000);
    expect(owed(read, 6_000)).toEqual([1]);
    values.published({ ...FULL, id: 3, sentMs: 6_000 });
    values.acknowledged(3, 6_010);
    expect(owed(read, 7_000)).toEqual([3]);
  });

  test('nothing where it may have been cleared, or has expired', () => {
    const { values, read } = asked(0, { sizeBytes: 0 });
    expect(owed(read)).toEqual([]);
    values.acknowledged(2, 130);
    expect(owed(read)).toEqual([]);
    const { read: later } = asked(0, { expiryS: 1 });
    expect(owed(later, 1_000)).toEqual([1]);
    expect(owed(later, 1_100)).toEqual([]);
  });

  test('an older value, one behind a newer one, one that is empty, or twice', () => {
    const { values, read } = asked();
    values.acknowledged(2, 99);
    expect(came(read, 1, true)).toBe('retained');
    const { read: live } = asked();
    expect(came(live, 2, false)).toBe('');
    expect(came(live, 1, true)).toBe('retained');
    const { read: twice } = asked();
    expect(came(twice, 1, true)).toBe('');
    expect(came(twice, 1, true)).toBe('retain handling');
    const { read: empty } = asked(0, { sizeBytes: 0 });
    expect(came(empty, 2, true, 0)).toBe('retained');
  });

  test('by Retain Handling: nothing is read, nor is anything owed', () => {
    const { read } = asked(2);
    expect(owed(read)).toEqual([]);
    expect(came(read, 1, true)).toBe('retain handling');
    const { read: again } = asked(1);
    expect(owed(again)).toEqual([1]);
    again.asked(1, 140);
    again.subscribed(150);
    expect(owed(again)).toEqual([]);
  });

  test('nobody published it, or it was changed on the way', () => {
    const { read } = asked();
    expect(came(read, 3, false)).toBe('no invention');
    expect(came(read, 2, false, 4)).toBe('no invention');
  });
});
