import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { UnconfirmedSettles } from '../../src/consume/unconfirmed-settles.ts';

const push = (settles: UnconfirmedSettles, offset: number): void => settles.push(1, offset >> 3, offset);
const offsets = (settles: UnconfirmedSettles): number[] => settles.items().map(({ offset }) => offset);

describe('what is accepted and not confirmed', () => {
  test('is a plain list, numbered from 1, whatever is confirmed of it and when', () => {
    const step = fc.oneof(
      fc.record({ push: fc.integer({ min: 1, max: 200 }) }),
      fc.record({ confirm: fc.integer({ min: -300, max: 300 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const settles = new UnconfirmedSettles();
        const all: number[] = [];
        let confirmed = 0;
        for (const one of steps) {
          if ('push' in one) {
            for (let i = 0; i < one.push; i++) {
              push(settles, all.length);
              all.push(all.length);
            }
          } else {
            // Also late, and of a number that never was.
            const upTo = confirmed + one.confirm;
            settles.confirm(upTo);
            confirmed = Math.max(confirmed, Math.min(upTo, all.length));
          }
          expect([settles.last, settles.size]).toEqual([all.length, all.length - confirmed]);
          const expected = all.slice(confirmed).map((offset) => ({ queueId: 1, rowBase: offset >> 3, offset }));
          expect(settles.items()).toEqual(expected);
        }
      }),
    );
  });

  test('has a bound: the oldest is forgotten', () => {
    const settles = new UnconfirmedSettles();
    const max = UnconfirmedSettles.SETTLES_MAX;
    for (let offset = 0; offset < max + 3; offset++) push(settles, offset);
    expect([settles.size, settles.last, offsets(settles)[0], offsets(settles).at(-1)]).toEqual([
      max,
      max + 3,
      3,
      max + 2,
    ]);
    settles.confirm(max + 2);
    expect(offsets(settles)).toEqual([max + 2]);
  });
});
