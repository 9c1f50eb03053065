/**
 * Finds one value in a JSON text without building the others. `JSON.parse` makes an object of everything a publisher
 * wrote, which for a megabyte of brackets or names stops the event loop for a sixth of a second, at the cost of one
 * message to him. Here every character is looked at once, and nothing is kept but the place of the value and the kinds
 * of the containers around it.
 *
 * The whole text is checked all the same, by the grammar of RFC 8259: half a JSON is not JSON. Of equal names in one
 * object the last counts, as with `JSON.parse`.
 */
export type JsonPlace = JsonSpan | 'absent' | 'malformed' | 'too-deep';

/** The value is `json.slice(start, end)`. */
export interface JsonSpan {
  start: number;
  end: number;
}

/** Containers within containers. Deeper is no message but an attempt. */
export const JSON_DEPTH_MAX = 512;

const QUOTE = 0x22;
const PLUS = 0x2b;
const COMMA = 0x2c;
const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** `names`, at least one, lead from the root through objects to the value. */
export function findInJson(json: string, names: readonly string[]): JsonPlace {
  const isObject: boolean[] = [];
  let depth = 0;
  /** So many open containers, from the root, are objects on the path. */
  let onPath = 0;
  /** The path leads to the value that begins here. */
  let leads = true;
  let start = -1;
  let end = -1;
  /** The depth of the wanted value while it is an open container. */
  let wantedDepth = -1;
  let at = skipSpace(json, 0);
  for (;;) {
    const wanted = leads && depth === names.length;
    const code = json.charCodeAt(at);
    let opened = false;
    if (code === OPEN_OBJECT || code === OPEN_LIST) {
      if (++depth > JSON_DEPTH_MAX) return 'too-deep';
      opened = true;
      isObject[depth] = code === OPEN_OBJECT;
      if (wanted) {
        start = at;
        wantedDepth = depth;
      } else if (leads && code === OPEN_OBJECT) onPath = depth;
      at = skipSpace(json, at + 1);
    } else {
      const behind = skipScalar(json, at, code);
      if (behind < 0) return 'malformed';
      if (wanted) {
        start = at;
        end = behind;
      }
      at = skipSpace(json, behind);
    }
    // What ends here; nothing can have gone before only in a container that was just opened.
    for (;;) {
      if (depth === 0) return at < json.length ? 'malformed' : end < 0 ? 'absent' : { start, end };
      if (json.charCodeAt(at) !== (isObject[depth] ? CLOSE_OBJECT : CLOSE_LIST)) break;
      at++;
      if (depth === wantedDepth) {
        end = at;
        wantedDepth = -1;
      }
      if (onPath === depth) onPath--;
      depth--;
      opened = false;
      at = skipSpace(json, at);
    }
    if (!opened) {
      if (json.charCodeAt(at) !== COMMA) return 'malformed';
      at = skipSpace(json, at + 1);
    }
    leads = false;
    if (!isObject[depth]) continue;
    const behindName = skipString(json, at);
    if (behindName < 0) return 'malformed';
    if (onPath === depth && isName(json, at, behindName, names[depth - 1] as string)) {
      leads = true;
      start = -1;
      end = -1;
    }
    at = skipSpace(json, behindName);
    if (json.charCodeAt(at) !== COLON) return 'malformed';
    at = skipSpace(json, at + 1);
  }
}

function skipSpace(json: string, from: number): number {
  for (let at = from; ; at++) {
    const code = json.charCodeAt(at);
    if (!(code <= 0x20) || (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09)) return at;
  }
}

/** Behind the text, number or word at `at`, or -1. */
function skipScalar(json: string, at: number, code: number): number {
  if (code === QUOTE) return skipString(json, at);
  if (code === MINUS || isDigit(code)) return skipNumber(json, at);
  for (const word of WORDS) if (json.startsWith(word, at)) return at + word.length;
  return -1;
}

const WORDS = ['true', 'false', 'null'];

function skipString(json: string, from: number): number {
  if (json.charCodeAt(from) !== QUOTE) return -1;
  for (let at = from + 1; at < json.length; at++) {
    const code = json.charCodeAt(at);
    if (code === QUOTE) return at + 1;
    if (code < 0x20) return -1;
    if (code !== BACKSLASH) continue;
    at++;
    const escaped = json.charAt(at);
    if (escaped === 'u') {
      for (let i = 1; i <= 4; i++) if (!isHexDigit(json.charCodeAt(at + i))) return -1;
      at += 4;
    } else if (escaped === '' || !'"\\/bfnrt'.includes(escaped)) return -1;
  }
  return -1;
}

function skipNumber(json: string, from: number): number {
  let at = from;
  let code = json.charCodeAt(at);
  if (code === MINUS) code = json.charCodeAt(++at);
  if (code === ZERO) code = json.charCodeAt(++at);
  else {
    if (!isDigit(code)) return -1;
    do code = json.charCodeAt(++at);
    while (isDigit(code));
  }
  if (code === POINT) {
    at = skipDigits(json, at + 1);
    if (at < 0) return -1;
    code = json.charCodeAt(at);
  }
  // e or E
  if ((code | 0x20) !== 0x65) return at;
  const sign = json.charCodeAt(at + 1);
  return skipDigits(json, sign === PLUS || sign === MINUS ? at + 2 : at + 1);
}

/** At least one. */
function skipDigits(json: string, from: number): number {
  let at = from;
  while (isDigit(json.charCodeAt(at))) at++;
  return at === from ? -1 : at;
}

function isDigit(code: number): boolean {
  return code >= ZERO && code <= NINE;
}

function isHexDigit(code: number): boolean {
  return isDigit(code) || (code >= 0x41 && code <= 0x46) || (code >= 0x61 && code <= 0x66);
}

/** Whether the string from `start` to `end`, quotes included, is this name. */
function isName(json: string, start: number, end: number, name: string): boolean {
  const length = end - start - 2;
  // An escape is up to six times as long as what it stands for.
  if (length < name.length || length > 6 * name.length) return false;
  for (let at = start + 1; at < end; at++) {
    if (json.charCodeAt(at) === BACKSLASH) return JSON.parse(json.slice(start, end)) === name;
  }
  return length === name.length && json.startsWith(name, start + 1);
}
