import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Inflights } from '../src/inflights.ts';

test('a window of appends behaves as a bounded list of their last indexes and sizes', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('add' as const), by: fc.integer({ min: 1, max: 3 }) }),
    fc.record({ kind: fc.constant('free' as const), back: fc.integer({ min: 0, max: 6 }) }),
    fc.record({ kind: fc.constant('first' as const) }),
    fc.record({ kind: fc.constant('clear' as const) }),
  );
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20 }), fc.array(step, { maxLength: 80 }), (capacity, steps) => {
      const inflights = new Inflights(capacity, 12);
      let model: { index: number; bytes: number }[] = [];
      const bytes = () => model.reduce((sum, append) => sum + append.bytes, 0);
      const isFull = () => model.length === capacity || bytes() >= 12;
      let last = 0;
      for (const action of steps) {
        if (action.kind === 'add' && !isFull()) {
          last += action.by;
          inflights.add(last, action.by);
          model.push({ index: last, bytes: action.by });
        } else if (action.kind === 'free') {
          inflights.freeTo(last - action.back);
          model = model.filter(({ index }) => index > last - action.back);
        } else if (action.kind === 'first') {
          inflights.freeFirst();
          model.shift();
        } else if (action.kind === 'clear') {
          inflights.clear();
          model = [];
        }
        expect(inflights.count).toBe(model.length);
        expect(inflights.bytes).toBe(bytes());
        expect(inflights.full()).toBe(isFull());
      }
    }),
    { numRuns: 500, seed: 1 },
  );
});
