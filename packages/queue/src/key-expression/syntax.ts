/**
 * Source text to tree. One expression: a variable path, a call, a literal; arrays only as arguments. Strings stand in
 * single or double quotes and know no escapes (`unescape` does). The parser recurses, so nesting is bounded, and the
 * length of the source with it; every node remembers where it began, so that later errors can point at it.
 */
export type Syntax =
  | { kind: 'literal'; value: string | number | boolean; position: number }
  | { kind: 'variable'; path: string; position: number }
  | { kind: 'call'; name: string; arguments: readonly Syntax[]; position: number }
  | { kind: 'array'; elements: readonly Syntax[]; position: number };

export interface KeyExpressionError {
  message: string;
  /** Characters from the beginning of the source. */
  position: number;
  hint: string;
}

/** Thrown between the files of the compiler, caught by `compileKeyExpression`. */
export class SyntaxFault extends Error {
  readonly position: number;
  readonly hint: string;

  constructor(message: string, position: number, hint: string) {
    super(message);
    this.position = position;
    this.hint = hint;
  }
}

const SOURCE_LENGTH_MAX = 4_096;
const NESTING_MAX = 32;
/** Each call does bounded work, so their number bounds the whole. */
const CALLS_MAX = 64;

const IDENTIFIER = /[a-zA-Z][-a-zA-Z0-9_.]*/y;
const NUMBER = /[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const SPACE = /[ \t\r\n]*/y;

export function parse(source: string): Syntax {
  if (source.length > SOURCE_LENGTH_MAX) {
    throw new SyntaxFault(
      `the expression is longer than ${SOURCE_LENGTH_MAX} characters`,
      SOURCE_LENGTH_MAX,
      'an expression names a key; compute large parts in the publisher and send them as a user property',
    );
  }
  return new Parser(source).whole();
}

class Parser {
  readonly #source: string;
  #at = 0;
  #calls = 0;

  constructor(source: string) {
    this.#source = source;
  }

  whole(): Syntax {
    this.#skipSpace();
    if (this.#at === this.#source.length) {
      throw new SyntaxFault('the expression is empty', 0, 'for example: message.from');
    }
    const position = this.#at;
    if (this.#peek() === '[') {
      throw new SyntaxFault('an array cannot be a key', position, 'arrays are arguments only: join_to_string([…])');
    }
    const syntax = this.#expression(0);
    if (this.#at < this.#source.length) {
      const found = this.#found();
      throw new SyntaxFault(`unexpected ${found} after the expression`, this.#at, 'one expression makes the key');
    }
    return syntax;
  }

  #expression(depth: number): Syntax {
    const position = this.#at;
    if (depth >= NESTING_MAX) {
      throw new SyntaxFault(`nested deeper than ${NESTING_MAX} levels`, position, 'simplify the expression');
    }
    const next = this.#peek();
    if (next === "'" || next === '"') return { kind: 'literal', value: this.#text(next), position };
    const number = this.#take(NUMBER);
    if (number !== undefined) return { kind: 'literal', value: numberLiteral(number, position), position };
    const name = this.#take(IDENTIFIER);
    if (name === undefined) {
      throw new SyntaxFault(
        `unexpected ${this.#found()}`,
        position,
        'expected a variable such as message.from, a function call, a text in quotes, a number, true or false',
      );
    }
    if (this.#peek() === '(') {
      if (++this.#calls > CALLS_MAX) {
        throw new SyntaxFault(`more than ${CALLS_MAX} calls`, position, 'simplify the expression');
      }
      this.#at++;
      return { kind: 'call', name, arguments: this.#list(')', depth, position), position };
    }
    if (name === 'true' || name === 'false') return { kind: 'literal', value: name === 'true', position };
    return { kind: 'variable', path: name, position };
  }

  #argument(depth: number): Syntax {
    if (this.#peek() !== '[') return this.#expression(depth);
    const position = this.#at;
    this.#at++;
    return { kind: 'array', elements: this.#list(']', depth, position), position };
  }

  /** Comma-separated up to `close`. Elements of an array are no arrays. */
  #list(close: ')' | ']', depth: number, opened: number): Syntax[] {
    const items: Syntax[] = [];
    this.#skipSpace();
    while (this.#peek() !== close) {
      items.push(close === ')' ? this.#argument(depth + 1) : this.#expression(depth + 1));
      if (this.#peek() === ',') {
        this.#at++;
        this.#skipSpace();
        if (this.#peek() !== close) continue;
        throw new SyntaxFault('nothing follows the comma', this.#at, 'remove the comma or add an argument');
      }
      if (this.#peek() !== close) {
        const hint = `expected , or ${close} to go with the opening at position ${opened}`;
        throw new SyntaxFault(`unexpected ${this.#found()}`, this.#at, hint);
      }
    }
    this.#at++;
    this.#skipSpace();
    return items;
  }

  #text(quote: string): string {
    const end = this.#source.indexOf(quote, this.#at + 1);
    if (end < 0) throw new SyntaxFault('the text is not closed', this.#at, `expected a closing ${quote}`);
    const text = this.#source.slice(this.#at + 1, end);
    this.#at = end + 1;
    this.#skipSpace();
    return text;
  }

  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#source)?.[0];
    if (match === undefined) return undefined;
    this.#at += match.length;
    this.#skipSpace();
    return match;
  }

  #skipSpace(): void {
    SPACE.lastIndex = this.#at;
    this.#at += SPACE.exec(this.#source)?.[0].length ?? 0;
  }

  #peek(): string {
    return this.#source.charAt(this.#at);
  }

  #found(): string {
    return this.#at < this.#source.length
      ? `'${String.fromCodePoint(this.#source.codePointAt(this.#at) ?? 0)}'`
      : 'end';
  }
}

function numberLiteral(text: string, position: number): number {
  const value = Number(text);
  const exact = /^[+-]?\d+$/.test(text) ? Number.isSafeInteger(value) : Number.isFinite(value);
  if (exact) return value;
  throw new SyntaxFault('the number is too large to be exact', position, 'put long numbers in quotes');
}
