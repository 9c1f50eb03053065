import { Failure, hasHalfCharacter, textOf, type Value } from '../value.ts';
import { JSON_DEPTH_MAX, JsonScan } from './json-scan.ts';
import { quoted } from './key-function.ts';

/**
 * One value out of a JSON text, by a path of names with dots between them. Numbers beyond 2^53 are identifiers in
 * practice and lose their last digits in a double: two devices would share a key. They are kept as the text they were.
 */
export function readJsonPath(json: string | Uint8Array, path: string): Value | Failure {
  if (json.length > JSON_LENGTH_MAX) return TOO_LONG;
  if (typeof json === 'string') {
    // Its bytes would be those of another character.
    return hasHalfCharacter(json) ? HALF_CHARACTER : readPath(Buffer.from(json), path, true);
  }
  return readPath(json, path, false);
}

function readPath(json: Uint8Array, path: string, isUtf8: boolean): Value | Failure {
  const scan = new JsonScan(json);
  const place = scan.find(path.split('.'));
  if (place === 'malformed') return NOT_JSON;
  if (place === 'too-deep') return TOO_DEEP;
  if (!scan.isAscii && !isUtf8) {
    const whole = textOf(json);
    if (whole instanceof Failure) return whole;
  }
  if (place === 'absent') return new Failure(`the JSON has nothing at ${quoted(path)}`, true);
  const value = TEXT.decode(json.subarray(place.start, place.end));
  if (value.startsWith('{')) return new Failure(`the JSON has an object at ${quoted(path)}: name one of its members`);
  if (value.startsWith('[') && value.length > LIST_CHARACTERS_MAX) {
    return new Failure(`the JSON has a list of more than ${LIST_CHARACTERS_MAX} characters at ${quoted(path)}`);
  }
  // Only what is well-formed is searched: the pattern is linear on it.
  const exact = LONG_INTEGER.test(value) ? value.replace(STRING_OR_LONG_INTEGER, quoteLongInteger) : value;
  return asValue(JSON.parse(exact), path);
}

const TEXT = new TextDecoder('utf-8', { ignoreBOM: true });
const NOT_JSON = new Failure('a text that is not JSON');
const TOO_DEEP = new Failure(`a JSON text with more than ${JSON_DEPTH_MAX} containers within each other`);
const JSON_LENGTH_MAX = 1024 * 1024;
const TOO_LONG = new Failure(`a JSON text of more than ${JSON_LENGTH_MAX} characters`);
const HALF_CHARACTER = new Failure('a JSON text with half a character in it');
/** A list is built as a whole, and each element costs more than its characters. */
const LIST_CHARACTERS_MAX = 64 * 1024;
const LONG_INTEGER = /[1-9]\d{15}/;
const STRING_OR_LONG_INTEGER = /"[^"\\]*(?:\\.[^"\\]*)*"|(?<![\d.eE+-])-?[1-9]\d{15,}(?![\d.eE])/g;

function quoteLongInteger(token: string): string {
  if (token.startsWith('"') || Number.isSafeInteger(Number(token))) return token;
  return `"${token}"`;
}

function asValue(node: unknown, path: string): Value | Failure {
  if (typeof node === 'string' || typeof node === 'number' || typeof node === 'boolean') return node;
  if (node === null) return new Failure(`the JSON has null at ${quoted(path)}`, true);
  if (!Array.isArray(node)) return new Failure(`the JSON has an object at ${quoted(path)}: name one of its members`);
  const list: Value[] = [];
  for (const element of node) {
    const value = element === null ? '' : asValue(element, path);
    if (value instanceof Failure) return value;
    list.push(value);
  }
  return list;
}
