import { Failure, integerOf, isList, kindOf, textOf, type Value } from '../value.ts';
import { choice, type KeyFunction, scalarFunction } from './key-function.ts';
import { joined } from './text-functions.ts';

/** Texts to lists and back. Elements count from 1. */
export const LIST_FUNCTIONS: readonly KeyFunction[] = [
  { ...scalarFunction('split', [2, 3], split), result: 'list', prepare: prepareSplit },
  { ...scalarFunction('tokens', [2, 3], tokens), result: 'list', prepare: prepareTokens },
  { ...scalarFunction('nth', [2, 2], nth), takesList: true, prepare: prepareNth },
  { ...scalarFunction('join_to_string', [1, 2], joinToString), takesList: true },
];

/** Elements a list may have: a payload of separators would otherwise become a million objects. */
const LIST_LENGTH_MAX = 65_536;

const TOO_MANY = new Failure(`a list of more than ${LIST_LENGTH_MAX} elements`);
const SPLIT_OPTIONS = ['trim', 'notrim', 'leading', 'leading_notrim', 'trailing', 'trailing_notrim'];

function prepareSplit(constants: readonly (Value | undefined)[]): typeof split | Failure {
  const option = choice(constants[2], SPLIT_OPTIONS, 'trim');
  return option instanceof Failure ? option : split;
}

function split([value, by, how]: readonly Value[]): Value | Failure {
  const text = textOf(value as Value);
  if (text instanceof Failure) return text;
  const separator = textOf(by as Value);
  if (separator instanceof Failure) return separator;
  const option = choice(how, SPLIT_OPTIONS, 'trim');
  if (option instanceof Failure) return option;
  let parts: string[];
  if (separator === '') parts = [text];
  else if (option === 'trim' || option === 'notrim') parts = text.split(separator, LIST_LENGTH_MAX + 1);
  else {
    const at = option.startsWith('leading') ? text.indexOf(separator) : text.lastIndexOf(separator);
    parts = at < 0 ? [text] : [text.slice(0, at), text.slice(at + separator.length)];
  }
  if (parts.length > LIST_LENGTH_MAX) return TOO_MANY;
  return option.endsWith('notrim') ? parts : parts.filter((part) => part !== '');
}

function prepareTokens(constants: readonly (Value | undefined)[]): typeof tokens | Failure {
  const option = choice(constants[2], ['crlf', 'nocrlf'], 'crlf');
  return option instanceof Failure ? option : tokens;
}

/** Each character of the second text separates; `nocrlf` adds carriage return and line feed to them. */
function tokens([value, separatorList, option]: readonly Value[]): Value | Failure {
  const text = textOf(value as Value);
  if (text instanceof Failure) return text;
  const listed = textOf(separatorList as Value);
  if (listed instanceof Failure) return listed;
  const chosen = choice(option, ['crlf', 'nocrlf'], 'crlf');
  if (chosen instanceof Failure) return chosen;
  const separators = new Set(chosen === 'nocrlf' ? `${listed}\r\n` : listed);
  const parts: string[] = [];
  let start = 0;
  for (let at = 0; at <= text.length; ) {
    const character = at < text.length ? String.fromCodePoint(text.codePointAt(at) as number) : '';
    if (character === '' || separators.has(character)) {
      if (at > start) parts.push(text.slice(start, at));
      if (parts.length > LIST_LENGTH_MAX) return TOO_MANY;
      start = at + character.length;
    }
    at += Math.max(1, character.length);
  }
  return parts;
}

/** The two arguments are easily swapped. */
function prepareNth([place, list]: readonly (Value | undefined)[]): typeof nth | Failure {
  if (list !== undefined && !isList(list)) return new Failure(`the second argument is ${kindOf(list)}, not a list`);
  const index = place === undefined ? 1 : integerOf(place);
  return index instanceof Failure ? index : nth;
}

function nth([index, list]: readonly Value[]): Value | Failure {
  const place = integerOf(index as Value);
  if (place instanceof Failure) return place;
  if (list === undefined || !isList(list)) return new Failure(`nth of ${kindOf(list as Value)}, which is not a list`);
  return list[place - 1] ?? new Failure(`element ${place} of a list of ${list.length}`, true);
}

function joinToString(values: readonly Value[]): Value | Failure {
  const list = values[values.length - 1] as Value;
  const separator = values.length === 1 ? ', ' : textOf(values[0] as Value);
  if (separator instanceof Failure) return separator;
  return isList(list) ? joined(list, separator) : new Failure(`join_to_string of ${kindOf(list)}, which is not a list`);
}
