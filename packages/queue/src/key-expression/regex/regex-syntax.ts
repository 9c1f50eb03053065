/**
 * The regular expressions of keys, parsed by us because they are run by us (`regex-program`). What cannot be run in
 * linear time, back-references and look-around, is refused here; everything else that PCRE users write in practice is
 * there: classes, `\d \w \s \b`, groups, alternatives, greedy and lazy repetition, `(?i)` in front.
 *
 * Matching is by code point. `.` stops at a line feed, `^` and `$` stand for the ends of the text.
 */
export type RegexNode =
  | { kind: 'empty' }
  | { kind: 'set'; set: CharacterSet }
  | { kind: 'assertion'; of: 'start' | 'end' | 'boundary' | 'no-boundary' }
  | { kind: 'sequence'; items: readonly RegexNode[] }
  | { kind: 'alternatives'; items: readonly RegexNode[] }
  /** Capturing when it has an index. */
  | { kind: 'group'; index: number | undefined; body: RegexNode }
  | { kind: 'repeat'; body: RegexNode; least: number; most: number; greedy: boolean };

/** Inclusive ranges of code points, flattened: from, to, from, to, … */
export interface CharacterSet {
  ranges: readonly number[];
  negated: boolean;
}

export interface RegexSyntax {
  root: RegexNode;
  groups: number;
  ignoreCase: boolean;
}

export class RegexFault extends Error {}

const PATTERN_LENGTH_MAX = 512;
const GROUPS_MAX = 32;
const REPEAT_MAX = 1_000;
const NESTING_MAX = 32;

const DIGIT = [0x30, 0x39];
const WORD = [0x30, 0x39, 0x41, 0x5a, 0x5f, 0x5f, 0x61, 0x7a];
const SPACE = [0x09, 0x0d, 0x20, 0x20];
const NEWLINE = [0x0a, 0x0a];

export function isWordCharacter(code: number): boolean {
  return inRanges(WORD, code);
}

export function inSet(set: CharacterSet, code: number): boolean {
  return inRanges(set.ranges, code) !== set.negated;
}

function inRanges(ranges: readonly number[], code: number): boolean {
  for (let i = 0; i < ranges.length; i += 2) {
    if (code >= (ranges[i] as number) && code <= (ranges[i + 1] as number)) return true;
  }
  return false;
}

export function parseRegex(pattern: string): RegexSyntax {
  if (pattern.length > PATTERN_LENGTH_MAX) throw new RegexFault(`longer than ${PATTERN_LENGTH_MAX} characters`);
  return new RegexParser(pattern).whole();
}

class RegexParser {
  readonly #characters: readonly string[];
  #at = 0;
  #groups = 0;

  constructor(pattern: string) {
    this.#characters = Array.from(pattern);
  }

  whole(): RegexSyntax {
    const ignoreCase = this.#skip('(?i)');
    const root = this.#alternatives(0);
    if (this.#at < this.#characters.length) throw new RegexFault(`unmatched ) at position ${this.#at}`);
    return { root, groups: this.#groups, ignoreCase };
  }

  #alternatives(depth: number): RegexNode {
    if (depth > NESTING_MAX) throw new RegexFault(`groups nested deeper than ${NESTING_MAX}`);
    const items = [this.#sequence(depth)];
    while (this.#skip('|')) items.push(this.#sequence(depth));
    return items.length === 1 ? (items[0] as RegexNode) : { kind: 'alternatives', items };
  }

  #sequence(depth: number): RegexNode {
    const items: RegexNode[] = [];
    while (this.#at < this.#characters.length && this.#peek() !== '|' && this.#peek() !== ')') {
      items.push(this.#repeated(this.#atom(depth)));
    }
    return items.length === 0 ? { kind: 'empty' } : { kind: 'sequence', items };
  }

  #repeated(body: RegexNode): RegexNode {
    const bounds = this.#bounds();
    if (bounds === undefined) return body;
    if (body.kind === 'assertion') throw new RegexFault(`nothing to repeat at position ${this.#at - 1}`);
    const greedy = !this.#skip('?');
    if (this.#peek() === '+') throw new RegexFault('possessive repetition is not supported');
    if ('*?{'.includes(this.#peek()) && this.#bounds() !== undefined) {
      throw new RegexFault(`nothing to repeat at position ${this.#at - 1}`);
    }
    return { kind: 'repeat', body, least: bounds[0], most: bounds[1], greedy };
  }

  #bounds(): [number, number] | undefined {
    if (this.#skip('*')) return [0, Number.POSITIVE_INFINITY];
    if (this.#skip('+')) return [1, Number.POSITIVE_INFINITY];
    if (this.#skip('?')) return [0, 1];
    if (this.#peek() !== '{') return undefined;
    const braces = /^\{(\d{1,4})(?:(,)(\d{1,4})?)?\}/.exec(this.#characters.slice(this.#at, this.#at + 12).join(''));
    // A brace that does not count anything is a brace.
    if (braces === null) return undefined;
    this.#at += braces[0].length;
    const least = Number(braces[1]);
    const most =
      braces[2] === undefined ? least : braces[3] === undefined ? Number.POSITIVE_INFINITY : Number(braces[3]);
    if (most < least) throw new RegexFault('the bounds of a repetition are out of order');
    if (least > REPEAT_MAX || (most !== Number.POSITIVE_INFINITY && most > REPEAT_MAX)) {
      throw new RegexFault(`more than ${REPEAT_MAX} repetitions`);
    }
    return [least, most];
  }

  #atom(depth: number): RegexNode {
    const character = this.#next();
    switch (character) {
      case '(':
        return this.#group(depth);
      case '[':
        return { kind: 'set', set: this.#class() };
      case '.':
        return { kind: 'set', set: { ranges: NEWLINE, negated: true } };
      case '^':
        return { kind: 'assertion', of: 'start' };
      case '$':
        return { kind: 'assertion', of: 'end' };
      case '*':
      case '+':
      case '?':
        throw new RegexFault(`nothing to repeat at position ${this.#at - 1}`);
      case '\\':
        return this.#escape();
      default:
        return { kind: 'set', set: one(character) };
    }
  }

  #group(depth: number): RegexNode {
    let index: number | undefined;
    if (this.#skip('?')) {
      if (this.#skip('<')) {
        if ('=!'.includes(this.#peek())) throw new RegexFault('look-behind is not supported');
        this.#groupName();
        index = this.#openGroup();
      } else if (!this.#skip(':')) {
        const look = '=!'.includes(this.#peek());
        throw new RegexFault(
          look ? 'look-ahead is not supported' : 'only (?i) in front, (?:…) and (?<name>…) are supported',
        );
      }
    } else index = this.#openGroup();
    const body = this.#alternatives(depth + 1);
    if (!this.#skip(')')) throw new RegexFault('a group is not closed');
    return { kind: 'group', index, body };
  }

  #openGroup(): number {
    if (this.#groups === GROUPS_MAX) throw new RegexFault(`more than ${GROUPS_MAX} groups`);
    return ++this.#groups;
  }

  #groupName(): void {
    const from = this.#at;
    while (/^\w$/.test(this.#peek())) this.#at++;
    if (this.#at === from || !this.#skip('>'))
      throw new RegexFault('a group name is letters and digits within < and >');
  }

  #escape(): RegexNode {
    const character = this.#next();
    if (character === 'b') return { kind: 'assertion', of: 'boundary' };
    if (character === 'B') return { kind: 'assertion', of: 'no-boundary' };
    if (character === 'A') return { kind: 'assertion', of: 'start' };
    if (character === 'z') return { kind: 'assertion', of: 'end' };
    if (/^[1-9k]$/.test(character)) throw new RegexFault('back-references are not supported');
    return { kind: 'set', set: CLASS_ESCAPES.get(character) ?? singleton(this.#codeEscape(character)) };
  }

  /** What a backslash and `character` stand for, one code point. */
  #codeEscape(character: string): number {
    const control = CONTROL_ESCAPES.get(character);
    if (control !== undefined) return control;
    if (character === 'x') return this.#hexadecimal(2);
    if (character === 'u') return this.#hexadecimal(4);
    if (/^[a-zA-Z0-9]$/.test(character)) throw new RegexFault(`the escape \\${character} is not supported`);
    if (character === '') throw new RegexFault('a backslash at the end');
    return character.codePointAt(0) as number;
  }

  #hexadecimal(digits: number): number {
    const braced = this.#skip('{');
    let text = '';
    while (/^[0-9a-fA-F]$/.test(this.#peek()) && text.length < (braced ? 6 : digits)) text += this.#next();
    const complete = braced ? this.#skip('}') && text !== '' : text.length === digits;
    const code = Number.parseInt(text, 16);
    if (!complete || code > 0x10ffff) throw new RegexFault('a hexadecimal escape is incomplete or too large');
    return code;
  }

  #class(): CharacterSet {
    const negated = this.#skip('^');
    const ranges: number[] = [];
    for (let first = true; first || this.#peek() !== ']'; first = false) {
      if (this.#at >= this.#characters.length) throw new RegexFault('a class [ is not closed');
      const from = this.#classItem();
      if (typeof from !== 'number') {
        ranges.push(...from);
        continue;
      }
      let to = from;
      if (this.#peek() === '-' && this.#characters[this.#at + 1] !== ']' && this.#at + 1 < this.#characters.length) {
        this.#at++;
        const end = this.#classItem();
        if (typeof end !== 'number' || end < from) throw new RegexFault('a range in a class is out of order');
        to = end;
      }
      ranges.push(from, to);
    }
    this.#at++;
    return { ranges, negated };
  }

  #classItem(): number | readonly number[] {
    const character = this.#next();
    if (character === '[' && /^[:.=]$/.test(this.#peek())) throw new RegexFault('POSIX classes are not supported');
    if (character !== '\\') return character.codePointAt(0) as number;
    const escaped = this.#next();
    if (escaped === 'b') return 0x08;
    const set = CLASS_ESCAPES.get(escaped);
    if (set === undefined) return this.#codeEscape(escaped);
    return set.negated ? complement(set.ranges) : set.ranges;
  }

  #peek(): string {
    return this.#characters[this.#at] ?? '';
  }

  #next(): string {
    return this.#characters[this.#at++] ?? '';
  }

  #skip(text: string): boolean {
    for (let i = 0; i < text.length; i++) if (this.#characters[this.#at + i] !== text[i]) return false;
    this.#at += text.length;
    return true;
  }
}

const CONTROL_ESCAPES: ReadonlyMap<string, number> = new Map([
  ['n', 0x0a],
  ['r', 0x0d],
  ['t', 0x09],
  ['f', 0x0c],
  ['v', 0x0b],
  ['e', 0x1b],
  ['a', 0x07],
  ['0', 0x00],
]);

const CLASS_ESCAPES: ReadonlyMap<string, CharacterSet> = new Map([
  ['d', { ranges: DIGIT, negated: false }],
  ['D', { ranges: DIGIT, negated: true }],
  ['w', { ranges: WORD, negated: false }],
  ['W', { ranges: WORD, negated: true }],
  ['s', { ranges: SPACE, negated: false }],
  ['S', { ranges: SPACE, negated: true }],
]);

function complement(ranges: readonly number[]): number[] {
  const inverse: number[] = [];
  let from = 0;
  for (let i = 0; i < ranges.length; i += 2) {
    if (from < (ranges[i] as number)) inverse.push(from, (ranges[i] as number) - 1);
    from = (ranges[i + 1] as number) + 1;
  }
  return [...inverse, from, 0x10ffff];
}

function singleton(code: number): CharacterSet {
  return { ranges: [code, code], negated: false };
}

function one(character: string): CharacterSet {
  return singleton(character.codePointAt(0) as number);
}
