import { expect, test } from '@jest/globals';
import { importsOf, separate } from '@sluice/tidy/source-code';

test.each([
  ['a comment', 'a; // b\nc', 'a;     \nc'],
  ['a block comment', 'a /* b\n */ c', 'a     \n    c'],
  ['a string with a quote in it', `x = 'it\\'s // no comment' + 1`, `x = '${' '.repeat(19)}' + 1`],
  ['a template with code inside', 'x = `a #{b + `c #{d} e`} f` + g', 'x = `  #{b + `  #{d}  `}  ` + g'],
  ['an object inside a template', 'x = `a #{f({ b: 1 })} c`; d', 'x = `  #{f({ b: 1 })}  `; d'],
  ['a regular expression', `x.replace(/['"/]/g, y) / 2 / z`, `x.replace(${' '.repeat(7)}g, y) / 2 / z`],
  ['a regular expression with a class', 'return /[/`]/.test(a)', 'return       .test(a)'],
  ['a division', 'a / b + (c) / d', 'a / b + (c) / d'],
])('%s is told from code', (_, text, code) => {
  const dollar = (line: string) => line.replaceAll('#{', '$' + '{');
  expect(separate(dollar(text)).code).toBe(dollar(code));
});

test('comments are kept apart, with their place', () => {
  expect(separate('a; // b\nc /* d */').comments).toBe('   // b\n  /* d */');
});

test('imports are found, and sentences about them are not', () => {
  const text = `import { a } from './a.ts';
import type { B } from "@sluice/b/c";
// import { c } from './c.ts';
const s = "import x from './d.ts'";
export { e } from './e.ts';
const f = await import('./f.ts');
import './g.ts';
`;
  expect(importsOf(text, separate(text)).map((each) => each.specifier)).toEqual([
    './a.ts',
    '@sluice/b/c',
    './e.ts',
    './f.ts',
    './g.ts',
  ]);
});
