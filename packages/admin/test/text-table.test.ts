import { expect, it } from '@jest/globals';
import { formatTable, groupDigits, printable } from '../src/text-table.ts';

it('columns line up, wide characters included', () => {
  const columns = [
    { title: 'A', align: 'left' },
    { title: 'N', align: 'right' },
  ] as const;
  expect(
    formatTable(columns, [
      ['日本', '1'],
      ['e\u0301x', '1000'],
    ]),
  ).toBe('A        N\n日本     1\ne\u0301x    1000\n');
});

it.each([
  ['plain ü 日本 🙂', 'plain ü 日本 🙂'],
  ['a\u001b[31mb', 'a\\x1b[31mb'],
  ['a\u0007\u007f\u0085', 'a\\x07\\x7f\\x85'],
  ['a\nb\tc', 'a\\nb\\tc'],
  ['abc\u202edcba', 'abc\\u202edcba'],
])('%j is shown as %j', (text, shown) => {
  expect(printable(text)).toBe(shown);
});

it.each([
  [0, '0'],
  [999, '999'],
  [1_000, '1,000'],
  [1_234_567, '1,234,567'],
])('%d has the digits %s', (amount, text) => {
  expect(groupDigits(amount)).toBe(text);
});
