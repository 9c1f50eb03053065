import { describe, expect, test } from '@jest/globals';
import { RegexProgram } from '@sluice/queue/key-expression/regex/regex-program';
import { RegexFault } from '@sluice/queue/key-expression/regex/regex-syntax';
import fc from 'fast-check';

function search(pattern: string, text: string): string[] | undefined {
  const program = new RegexProgram(pattern);
  program.begin();
  const match = program.search(text, 0);
  if (match === undefined) return undefined;
  const groups: string[] = [];
  for (let i = 0; i < match.length; i += 2)
    groups.push((match[i] as number) < 0 ? '' : text.slice(match[i], match[i + 1]));
  return groups;
}

describe('regular expressions', () => {
  test.each([
    ['(a+)(a*)', 'xaaa', ['aaa', 'aaa', '']],
    ['(a+?)(a*)', 'xaaa', ['aaa', 'a', 'aa']],
    ['a|ab', 'ab', ['a']],
    ['(?:a|ab)(c|bcd)(d*)', 'abcd', ['abcd', 'bcd', '']],
    ['^$', '', ['']],
    ['\\bfoo\\b', 'a foo b', ['foo']],
    ['[^a-c\\s]+', 'abc xyz', ['xyz']],
    ['[]a]+', 'x]a]', [']a]']],
    ['[a-]+', '-a-', ['-a-']],
    ['[\\D]', '1a', ['a']],
    ['a{2}', 'aaa', ['aa']],
    ['a{2,}?', 'aaa', ['aa']],
    ['a{,2}', 'a{,2}', ['a{,2}']],
    ['x{', 'x{', ['x{']],
    ['(?i)HeLLo', 'hello', ['hello']],
    ['(?i)[^a]', 'Ab', ['b']],
    ['(?<year>\\d{4})', 'in 2026', ['2026', '2026']],
    ['.', '\n😀', ['😀']],
    ['\\x41\\u0042\\x{43}', 'ABC', ['ABC']],
    ['\\A\\d+\\z', '12', ['12']],
    ['(a*)*', 'aab', ['aa', 'aa']],
    ['\\/\\.', '/.', ['/.']],
  ])('%s in %j finds %j', (pattern, text, expected) => expect(search(pattern, text)).toEqual(expected));

  test.each([
    ['(a', 'not closed'],
    ['a)', 'unmatched'],
    ['[a', 'not closed'],
    ['*', 'nothing to repeat'],
    ['a**', 'nothing to repeat'],
    ['^*', 'nothing to repeat'],
    ['a++', 'possessive'],
    ['(a)\\1', 'back-references'],
    ['(?<n>a)\\k<n>', 'back-references'],
    ['(?=a)', 'look-ahead'],
    ['(?<!a)b', 'look-behind'],
    ['(?m)a', 'only (?i)'],
    ['[[:alpha:]]', 'POSIX'],
    ['[z-a]', 'out of order'],
    ['a{3,2}', 'out of order'],
    ['a{1001}', 'more than 1000'],
    ['(?:a{100}){100}', 'too large'],
    ['\\', 'backslash'],
    ['\\q', 'not supported'],
    ['\\x4', 'incomplete'],
    ['\\u{110000}', 'too large'],
    [`${'(?:'.repeat(40)}a${')'.repeat(40)}`, 'deeper'],
    ['a'.repeat(513), 'longer'],
  ])('%s is refused: %s', (pattern, problem) => {
    expect(() => new RegexProgram(pattern)).toThrow(RegexFault);
    expect(() => new RegexProgram(pattern)).toThrow(problem);
  });

  test.each(['(a+)+$', '(a|a)*$', '(a|aa)+$', '(.*a){20}$', '(a*)*b', '(?:a?){30}a{30}$', '.*.*.*=.*$'])(
    '%s against many letters ends within its budget',
    (pattern) => {
      const program = new RegexProgram(pattern);
      program.begin();
      program.search(`${'a'.repeat(2_000)}!`, 0);
      expect(program.exhausted).toBe(false);
    },
  );

  test('a search beyond the budget says so', () => {
    const program = new RegexProgram('(?:a?){30}b');
    program.begin();
    expect(program.search('a'.repeat(20_000), 0)).toBeUndefined();
    expect(program.exhausted).toBe(true);
    program.begin();
    expect(program.search('ab', 0)).toBeDefined();
  });

  test('finds what the built-in engine finds', () => {
    const atom = fc.constantFrom('a', 'b', '.', '[ab]', '[^a]', '\\w', '\\d', '\\b', '^', '$', '😀', '\\n');
    const repeatable = fc.constantFrom(
      'a',
      'b',
      '.',
      '[ab]',
      '[^a]',
      '\\w',
      '(a)',
      '(?:ab)',
      '(b|a)',
      '(?:a|ab)',
      '(a?)b',
    );
    const quantifier = fc.constantFrom('', '*', '+', '?', '*?', '+?', '??', '{2}', '{1,2}', '{0,2}?', '{1,}');
    const repeated = fc.tuple(repeatable, quantifier).map(([body, times]) => body + times);
    const sequence = fc.array(fc.oneof(atom, repeated), { maxLength: 5 }).map((parts) => parts.join(''));
    const pattern = fc.oneof(
      sequence,
      fc.tuple(sequence, sequence).map(([left, right]) => `${left}|${right}`),
      fc.tuple(sequence, sequence, sequence).map(([a, b, c]) => `${a}(${b}|${c})`),
    );
    const text = fc
      .array(fc.constantFrom('a', 'b', '1', ' ', '\n', '😀'), { maxLength: 10 })
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(pattern, text, (source, subject) => {
        const expected = new RegExp(source, 'u').exec(subject);
        const found = search(source, subject);
        expect(found).toEqual(expected === null ? undefined : Array.from(expected, (group) => group ?? ''));
      }),
      { seed: 1120, numRuns: 5_000 },
    );
  });
});
