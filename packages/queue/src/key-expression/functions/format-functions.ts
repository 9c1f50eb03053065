import {
  bounded,
  charactersOf,
  Failure,
  integerOf,
  isList,
  numberOf,
  sliceCharacters,
  textOf,
  type Value,
} from '../value.ts';
import { ANY_NUMBER, type KeyFunction, scalarFunction } from './key-function.ts';

/**
 * `sprintf_s(format, list)` or `sprintf_s(format, value, …)` with control sequences as in Erlang's io library:
 * `~[-]width.precision.padding` and then one of s (text), b B x X + (integers), f e g (floats), p w (as a term),
 * c (code point), n (line feed), ~. Modifiers t and l are taken and change nothing.
 */
export const FORMAT_FUNCTIONS: readonly KeyFunction[] = [
  {
    ...scalarFunction('sprintf_s', [1, ANY_NUMBER], ([format, ...values]) => {
      const pattern = textOf(format as Value);
      if (pattern instanceof Failure) return pattern;
      if (pattern.length > FORMAT_LENGTH_MAX) return TOO_LONG;
      const first = values[0];
      return sprintf(pattern, values.length === 1 && first !== undefined && isList(first) ? first : values);
    }),
    takesList: true,
  },
];

/** A format is written by whoever writes the expression; one that is a payload could hold a million sequences. */
const FORMAT_LENGTH_MAX = 4_096;
const FIELD_WIDTH_MAX = 4_096;
const PRECISION_MAX = 60;
const CONTROL = /~(?:(-?\d{1,6})?(?:\.(\d{1,6})?)?(?:\.(.))?[tl]*([a-zA-Z~+#]))?/gsu;

const TOO_LONG = new Failure(`a format of more than ${FORMAT_LENGTH_MAX} characters`);
const TOO_FEW = new Failure('sprintf_s has more control sequences than values');
const TOO_MANY = new Failure('sprintf_s has more values than control sequences');

function sprintf(format: string, values: readonly Value[]): string | Failure {
  let used = 0;
  let wrong: Failure | undefined;
  const text = format.replace(
    CONTROL,
    (sequence, width?: string, precision?: string, padding?: string, kind?: string) => {
      if (wrong !== undefined) return '';
      if (kind === '~') return '~';
      if (kind === 'n') return '\n';
      if (kind === undefined) {
        wrong = new Failure(`'${sequence}' at the end of a control sequence`);
        return '';
      }
      const field = width === undefined ? 0 : Number(width);
      const digits = precision === undefined ? undefined : Number(precision);
      if (Math.abs(field) > FIELD_WIDTH_MAX || (digits ?? 0) > FIELD_WIDTH_MAX) {
        wrong = new Failure(`a field wider than ${FIELD_WIDTH_MAX}`);
        return '';
      }
      const value = values[used++];
      const piece = value === undefined ? TOO_FEW : formatOne(kind, value, digits);
      if (piece instanceof Failure) {
        wrong = piece;
        return '';
      }
      return padded(piece, field, padding ?? ' ');
    },
  );
  if (wrong !== undefined) return wrong;
  return used < values.length ? TOO_MANY : bounded(text);
}

function padded(piece: string, field: number, padding: string): string {
  const missing = Math.abs(field) - charactersOf(piece).length;
  if (missing <= 0) return piece;
  return field < 0 ? piece + padding.repeat(missing) : padding.repeat(missing) + piece;
}

function formatOne(kind: string, value: Value, precision: number | undefined): string | Failure {
  switch (kind) {
    case 's': {
      const text = textOf(value);
      return text instanceof Failure || precision === undefined ? text : sliceCharacters(text, 0, precision);
    }
    case 'p':
    case 'w':
      return asTerm(value);
    case 'c': {
      const code = integerOf(value);
      if (code instanceof Failure) return code;
      const valid = code >= 0 && code <= 0x10ffff && (code & 0x1ff800) !== 0xd800;
      return valid ? String.fromCodePoint(code).repeat(precision ?? 1) : new Failure('a number that is no code point');
    }
    case 'b':
    case 'B':
    case 'x':
    case 'X':
    case '+':
    case '#':
      return formatInteger(kind, value, precision ?? 10);
    case 'f':
    case 'e':
    case 'g':
      return formatFloat(kind, value, precision ?? 6);
    default:
      return new Failure(`~${kind} is not a control sequence of sprintf_s`);
  }
}

function formatInteger(kind: string, value: Value, base: number): string | Failure {
  const integer = integerOf(value);
  if (integer instanceof Failure) return integer;
  if (base < 2 || base > 36) return new Failure('a base outside of 2 to 36');
  const text = integer.toString(base);
  return kind === 'b' || kind === 'x' ? text : text.toUpperCase();
}

function formatFloat(kind: string, value: Value, precision: number): string | Failure {
  const number = numberOf(value);
  if (number instanceof Failure) return number;
  if (precision > PRECISION_MAX) return new Failure(`more than ${PRECISION_MAX} digits`);
  if (kind === 'f') return number.toFixed(precision);
  return kind === 'e' ? number.toExponential(precision) : number.toPrecision(Math.max(1, precision));
}

/** Text as the binary it is in Erlang. */
function asTerm(value: Value): string | Failure {
  if (isList(value)) {
    const parts: string[] = [];
    for (const element of value) {
      const part = asTerm(element);
      if (part instanceof Failure) return part;
      parts.push(part);
    }
    return `[${parts.join(',')}]`;
  }
  const text = textOf(value);
  if (text instanceof Failure || typeof value === 'number' || typeof value === 'boolean') return text;
  return `<<"${text.replace(/["\\]/g, '\\$&')}">>`;
}
