import {
  bounded,
  bytesOf,
  charactersOf,
  Failure,
  isList,
  sliceCharacters,
  TEXT_LENGTH_MAX,
  textOf,
  type Value,
} from '../value.ts';
import {
  ANY_NUMBER,
  choice,
  integerWithin,
  type KeyFunction,
  quoted,
  scalarFunction,
  textFunction,
} from './key-function.ts';

/** Texts to texts. Positions count from 0, characters are code points, whitespace is what Unicode calls so. */
export const TEXT_FUNCTIONS: readonly KeyFunction[] = [
  textFunction('lower', [1, 1], (text) => bounded(text.toLowerCase())),
  textFunction('upper', [1, 1], (text) => bounded(text.toUpperCase())),
  textFunction('trim', [1, 1], (text) => text.trim()),
  textFunction('ltrim', [1, 1], (text) => text.trimStart()),
  textFunction('rtrim', [1, 1], (text) => text.trimEnd()),
  textFunction('reverse', [1, 1], (text) => Array.from(text).reverse().join('')),
  textFunction('strlen', [1, 1], (text) => charactersOf(text).length),
  textFunction('rm_prefix', [2, 2], (text, prefix) => (text.startsWith(prefix) ? text.slice(prefix.length) : text)),
  textFunction('ascii', [1, 1], (text) => text.codePointAt(0) ?? new Failure('ascii of an empty text', true)),
  textFunction('unescape', [1, 1], (text) => withoutEscapes(text)),
  scalarFunction('substr', [2, 3], substr),
  withChoice('find', [2, 3], ['leading', 'trailing'], find),
  withChoice('replace', [3, 4], ['all', 'leading', 'trailing'], replace),
  { ...scalarFunction('pad', [2, 4], pad), prepare: preparePad },
  { ...scalarFunction('concat', [1, ANY_NUMBER], concat), takesList: true },
  { ...scalarFunction('any_to_str', [1, 1], ([value]) => anyToText(value as Value)), takesList: true },
];

const PAD_LENGTH_MAX = 4_096;

/** A function whose last, optional argument is one of a few words; the first of them when it is missing. */
function withChoice(
  name: string,
  arity: readonly [number, number],
  words: readonly string[],
  apply: (values: readonly Value[], word: string) => Value | Failure,
): KeyFunction {
  const place = arity[1] - 1;
  const otherwise = words[0] as string;
  return {
    ...scalarFunction(name, arity, () => ''),
    prepare: (constants) => {
      const constant = choice(constants[place], words, otherwise);
      if (constant instanceof Failure) return constant;
      return (values) => {
        const word = choice(values[place], words, otherwise);
        return word instanceof Failure ? word : apply(values, word);
      };
    },
  };
}

function substr([value, start, length]: readonly Value[]): Value | Failure {
  const text = textOf(value as Value);
  if (text instanceof Failure) return text;
  const from = integerWithin(start as Value, 0, Number.MAX_SAFE_INTEGER, 'the start');
  if (from instanceof Failure) return from;
  if (length === undefined) return sliceCharacters(text, from, Number.POSITIVE_INFINITY);
  const count = integerWithin(length, 0, Number.MAX_SAFE_INTEGER, 'the length');
  return count instanceof Failure ? count : sliceCharacters(text, from, from + count);
}

function find([value, wanted]: readonly Value[], direction: string): Value | Failure {
  const text = textOf(value as Value);
  if (text instanceof Failure) return text;
  const pattern = textOf(wanted as Value);
  if (pattern instanceof Failure) return pattern;
  const at = direction === 'leading' ? text.indexOf(pattern) : text.lastIndexOf(pattern);
  return at < 0 ? '' : text.slice(at);
}

function replace([value, wanted, replacement]: readonly Value[], where: string): Value | Failure {
  const text = textOf(value as Value);
  if (text instanceof Failure) return text;
  const pattern = textOf(wanted as Value);
  if (pattern instanceof Failure) return pattern;
  const by = textOf(replacement as Value);
  if (by instanceof Failure) return by;
  if (pattern === '') return text;
  if (where !== 'all') {
    const at = where === 'leading' ? text.indexOf(pattern) : text.lastIndexOf(pattern);
    return at < 0 ? text : bounded(text.slice(0, at) + by + text.slice(at + pattern.length));
  }
  let length = text.length;
  for (let at = text.indexOf(pattern); at >= 0; at = text.indexOf(pattern, at + pattern.length)) {
    length += by.length - pattern.length;
    if (length > TEXT_LENGTH_MAX + text.length) break;
  }
  if (length > TEXT_LENGTH_MAX) return new Failure(`replace would make more than ${TEXT_LENGTH_MAX} characters`);
  // A function, because `$&` in a replacement text would be read as a reference.
  return text.replaceAll(pattern, () => by);
}

function preparePad(constants: readonly (Value | undefined)[]): typeof pad | Failure {
  const length = constants[1] === undefined ? 0 : integerWithin(constants[1], 0, PAD_LENGTH_MAX, 'the length');
  if (length instanceof Failure) return length;
  const direction = choice(constants[2], ['trailing', 'leading', 'both'], 'trailing');
  return direction instanceof Failure ? direction : pad;
}

function pad([value, length, side, filler]: readonly Value[]): Value | Failure {
  const text = textOf(value as Value);
  if (text instanceof Failure) return text;
  const wanted = integerWithin(length as Value, 0, PAD_LENGTH_MAX, 'the length');
  if (wanted instanceof Failure) return wanted;
  const direction = choice(side, ['trailing', 'leading', 'both'], 'trailing');
  if (direction instanceof Failure) return direction;
  const fill = filler === undefined ? ' ' : textOf(filler);
  if (fill instanceof Failure) return fill;
  // The filler counts as one character, whatever it holds.
  const missing = Math.max(0, wanted - charactersOf(text).length);
  if (missing * fill.length > TEXT_LENGTH_MAX)
    return new Failure(`pad would make more than ${TEXT_LENGTH_MAX} characters`);
  if (direction === 'trailing') return bounded(text + fill.repeat(missing));
  if (direction === 'leading') return bounded(fill.repeat(missing) + text);
  const before = missing >> 1;
  return bounded(fill.repeat(before) + text + fill.repeat(missing - before));
}

function concat(values: readonly Value[]): Value | Failure {
  const first = values[0] as Value;
  return joined(values.length === 1 && isList(first) ? first : values, '');
}

/** Elements as texts, with `separator` between them. */
export function joined(values: readonly Value[], separator: string): string | Failure {
  let text = '';
  for (let i = 0; i < values.length; i++) {
    const part = textOf(values[i] as Value);
    if (part instanceof Failure) return part;
    text += i === 0 ? part : separator + part;
    if (text.length > TEXT_LENGTH_MAX) return bounded(text);
  }
  return text;
}

/** A list is written as JSON. */
function anyToText(value: Value): Value | Failure {
  if (!isList(value)) return textOf(value);
  const texts: unknown[] = [];
  for (const element of value) {
    const plain = element instanceof Uint8Array || isList(element) ? anyToText(element) : element;
    if (plain instanceof Failure) return plain;
    texts.push(plain);
  }
  return bounded(JSON.stringify(texts));
}

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['n', '\n'],
  ['t', '\t'],
  ['r', '\r'],
  ['b', '\b'],
  ['f', '\f'],
  ['v', '\v'],
  ["'", "'"],
  ['"', '"'],
  ['\\', '\\'],
  ['?', '?'],
  ['a', '\u0007'],
]);

/** An escape costs fifty times what a character does. */
const ESCAPED_LENGTH_MAX = 128 * 1024;

function withoutEscapes(text: string): string | Failure {
  if (text.length > ESCAPED_LENGTH_MAX) return new Failure(`a text of more than ${ESCAPED_LENGTH_MAX} characters`);
  let wrong: string | undefined;
  const plain = text.replace(/\\(?:x([0-9a-fA-F]+)|(.?))/gs, (sequence, hexadecimal?: string, single?: string) => {
    if (hexadecimal === undefined) {
      const character = ESCAPES.get(single ?? '');
      if (character === undefined) wrong ??= sequence;
      return character ?? '';
    }
    const code = Number.parseInt(hexadecimal, 16);
    if (code <= 0x10ffff && (code & 0x1ff800) !== 0xd800) return String.fromCodePoint(code);
    wrong ??= sequence;
    return '';
  });
  return wrong === undefined ? plain : new Failure(`${quoted(wrong)} is not an escape`);
}

/** For functions that take anything as data. */
export function dataFunction(
  name: string,
  arity: readonly [number, number],
  apply: (data: Uint8Array, values: readonly Value[]) => Value | Failure,
): KeyFunction {
  return scalarFunction(name, arity, (values) => {
    const data = bytesOf(values[0] as Value);
    return data instanceof Failure ? data : apply(data, values);
  });
}
