import { RegexProgram } from '../regex/regex-program.ts';
import { RegexFault } from '../regex/regex-syntax.ts';
import { Failure, TEXT_LENGTH_MAX, textOf, type Value } from '../value.ts';
import { type KeyFunction, type ResultKind, scalarFunction } from './key-function.ts';

/**
 * Patterns are constants: they are compiled with the expression, where somebody can be told what is wrong with them,
 * and no publisher can bring his own.
 */
export const REGEX_FUNCTIONS: readonly KeyFunction[] = [
  regexFunction('regex_match', 2, 'scalar', (program, text) => program.search(text, 0) !== undefined),
  regexFunction('regex_extract', 2, 'list', extract),
  regexFunction('regex_replace', 3, 'scalar', replaceAll),
];

const EXHAUSTED = new Failure('the regular expression took too many steps for this text');

function regexFunction(
  name: string,
  count: number,
  result: ResultKind,
  apply: (program: RegexProgram, text: string, values: readonly Value[]) => Value | Failure,
): KeyFunction {
  return {
    ...scalarFunction(name, [count, count], () => ''),
    result,
    prepare: ([, constant]) => {
      if (constant === undefined) return new Failure(`the pattern of ${name} is not a constant text`);
      const pattern = textOf(constant);
      if (pattern instanceof Failure) return pattern;
      const program = compileRegex(pattern);
      if (program instanceof Failure) return program;
      return (values) => {
        const text = textOf(values[0] as Value);
        if (text instanceof Failure) return text;
        program.begin();
        const value = apply(program, text, values);
        return program.exhausted ? EXHAUSTED : value;
      };
    },
  };
}

function compileRegex(pattern: string): RegexProgram | Failure {
  try {
    return new RegexProgram(pattern);
  } catch (fault) {
    if (fault instanceof RegexFault) return new Failure(`the regular expression is refused: ${fault.message}`);
    throw fault;
  }
}

/** The groups of the first match; nothing when there is none. A group that took no part is empty. */
function extract(program: RegexProgram, text: string): Value {
  const match = program.search(text, 0);
  const groups: string[] = [];
  for (let i = 2; match !== undefined && i < match.length; i += 2) groups.push(textBetween(text, match, i));
  return groups;
}

/** In the replacement `&` and `\0` stand for the match, `\1` to `\9` for groups, a backslash before `&` or `\` for those. */
function replaceAll(program: RegexProgram, text: string, values: readonly Value[]): Value | Failure {
  const replacement = textOf(values[2] as Value);
  if (replacement instanceof Failure) return replacement;
  let result = '';
  let from = 0;
  for (let at = 0; at <= text.length && result.length <= TEXT_LENGTH_MAX; ) {
    const match = program.search(text, at);
    if (match === undefined) break;
    const [start, end] = match as readonly [number, number];
    result += text.slice(from, start) + expand(replacement, text, match);
    from = end;
    // An empty match replaces between characters and must not stand still.
    at = end > start ? end : end + ((text.codePointAt(end) ?? 0) > 0xffff ? 2 : 1);
  }
  result += text.slice(from);
  return result.length > TEXT_LENGTH_MAX
    ? new Failure(`regex_replace would make more than ${TEXT_LENGTH_MAX} characters`)
    : result;
}

function expand(replacement: string, text: string, match: readonly number[]): string {
  if (!/[&\\]/.test(replacement)) return replacement;
  return replacement.replace(/&|\\([0-9&\\])/g, (reference, escaped?: string) => {
    if (escaped === '&' || escaped === '\\') return escaped;
    return textBetween(text, match, reference === '&' ? 0 : Number(escaped) * 2);
  });
}

function textBetween(text: string, match: readonly number[], slot: number): string {
  const start = match[slot] ?? -1;
  return start < 0 ? '' : text.slice(start, match[slot + 1]);
}
