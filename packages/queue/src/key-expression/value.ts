/**
 * What expressions compute with. Payloads and decoded data are bytes and become text only where text is needed: bytes
 * that are not UTF-8 are never repaired, because two different payloads must not end up under one key.
 *
 * Evaluation returns a `Failure` instead of throwing: a publisher decides how often an expression fails, and a stack
 * trace a message would be his lever. `absent` marks what simply is not there (an unbound variable, a list too short, a
 * JSON member that is missing): `coalesce`, `iif` and `is_empty` go on from it, everything else passes it on.
 */
export type Value = string | number | boolean | Uint8Array | readonly Value[];

export class Failure {
  readonly reason: string;
  readonly absent: boolean;

  constructor(reason: string, absent = false) {
    this.reason = reason;
    this.absent = absent;
  }
}

/** Longest text any step may produce; `replace` and `concat` could otherwise multiply a payload. */
export const TEXT_LENGTH_MAX = 1024 * 1024;

const TOO_LONG = new Failure(`a text of more than ${TEXT_LENGTH_MAX} characters`);
const NOT_UTF8 = new Failure('bytes that are not UTF-8 text: use bin2hexstr, base64_encode or hash');
const LIST_AS_TEXT = new Failure('a list where a text was expected: use nth or join_to_string');

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}

export function textOf(value: Value): string | Failure {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (isList(value)) return LIST_AS_TEXT;
  if (value.length > TEXT_LENGTH_MAX) return TOO_LONG;
  try {
    return strictUtf8.decode(value);
  } catch {
    return NOT_UTF8;
  }
}

export function bytesOf(value: Value): Uint8Array | Failure {
  if (value instanceof Uint8Array) return value;
  const text = textOf(value);
  return text instanceof Failure ? text : Buffer.from(text);
}

const DECIMAL = /^[+-]?\d{1,300}(?:\.\d{1,300})?(?:[eE][+-]?\d{1,3})?$/;

/** A number, or a text that reads as one: user properties and topics carry numbers as text. */
export function numberOf(value: Value): number | Failure {
  if (typeof value === 'number') return value;
  const text = typeof value === 'boolean' ? LIST_AS_TEXT : textOf(value);
  if (text instanceof Failure || !DECIMAL.test(text))
    return new Failure(`${kindOf(value)} where a number was expected`);
  return Number(text);
}

export function integerOf(value: Value): number | Failure {
  const number = numberOf(value);
  if (number instanceof Failure) return number;
  return Number.isSafeInteger(number) ? number : new Failure('a number that is not an integer within 2^53');
}

export function kindOf(value: Value): string {
  if (typeof value === 'string') return 'a text';
  if (typeof value === 'number') return 'a number';
  if (typeof value === 'boolean') return 'a boolean';
  return isList(value) ? 'a list' : 'bytes';
}

export function isEmpty(value: Value): boolean {
  if (typeof value === 'string' || value instanceof Uint8Array || isList(value)) return value.length === 0;
  return false;
}

/** A text that a step produced, unless it has grown too long. */
export function bounded(text: string): string | Failure {
  return text.length > TEXT_LENGTH_MAX ? TOO_LONG : text;
}

/** A surrogate without its other half. Encoding would turn every one of them into the same replacement character. */
export function hasHalfCharacter(text: string): boolean {
  return SURROGATE.test(text) && /\p{Surrogate}/u.test(text);
}

const SURROGATE = /[\ud800-\udfff]/;

/** Characters are code points. Text without surrogates has as many as it has UTF-16 units. */
export function charactersOf(text: string): ArrayLike<string> {
  return SURROGATE.test(text) ? Array.from(text) : text;
}

export function sliceCharacters(text: string, from: number, to: number): string {
  const characters = charactersOf(text);
  return typeof characters === 'string'
    ? characters.slice(from, to)
    : (characters as string[]).slice(from, to).join('');
}
