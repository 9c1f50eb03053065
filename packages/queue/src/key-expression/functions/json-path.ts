import { Failure, type Value } from '../value.ts';
import { quoted } from './key-function.ts';

/**
 * One value out of a JSON text, by a path of names with dots between them. Numbers beyond 2^53 are identifiers in
 * practice and lose their last digits in a double: two devices would share a key. They are kept as the text they were.
 */
export function readJsonPath(json: string, path: string): Value | Failure {
  if (json.length > JSON_LENGTH_MAX) return new Failure(`a JSON text of more than ${JSON_LENGTH_MAX} characters`);
  let node: unknown;
  try {
    node = JSON.parse(json);
    // Only what has parsed is searched: the pattern below is linear on well-formed JSON.
    if (LONG_INTEGER.test(json)) node = JSON.parse(json.replace(STRING_OR_LONG_INTEGER, quoteLongInteger));
  } catch {
    return new Failure('a text that is not JSON');
  }
  for (const name of path.split('.')) {
    if (typeof node !== 'object' || node === null || Array.isArray(node) || !Object.hasOwn(node, name)) {
      return new Failure(`the JSON has nothing at ${quoted(path)}`, true);
    }
    node = (node as Record<string, unknown>)[name];
  }
  return asValue(node, path);
}

const JSON_LENGTH_MAX = 1024 * 1024;
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
