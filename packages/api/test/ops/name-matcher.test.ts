import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { nameMatcher } from '../../src/ops/name-matcher.ts';

test('a star stands for any characters, and everything else for itself', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '.', '*'), maxLength: 8 });
  const name = fc.string({ unit: fc.constantFrom('a', 'b', '.'), maxLength: 8 });
  fc.assert(
    fc.property(text, name, (pattern, candidate) => {
      const parts = pattern.split('*').map((part) => part.replaceAll('.', '\\.'));
      const expression = new RegExp(`^${parts.join('.*')}$`);
      expect(nameMatcher(pattern)(candidate)).toBe(expression.test(candidate));
    }),
    { seed: 20_261_120, numRuns: 2_000 },
  );
});

test('no pattern takes long', () => {
  const matches = nameMatcher('*a'.repeat(400));
  expect(matches(`${'a'.repeat(20_000)}b`)).toBe(false);
});
