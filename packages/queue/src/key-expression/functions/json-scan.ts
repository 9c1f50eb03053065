/**
 * Finds one value in a JSON text without building the others. `JSON.parse` makes an object of everything a publisher
 * wrote, which for a megabyte of brackets or names stops the event loop for a sixth of a second, at the cost of one
 * message to him. Here every byte is looked at once, and nothing is kept but the place of the value and the kinds of the
 * containers around it. Bytes and not characters: a text would be made of all of them first, and a character of a text
 * takes several times as long to look at.
 *
 * The whole text is checked all the same, by the grammar of RFC 8259: half a JSON is not JSON. Of equal names in one
 * object the last counts, as with `JSON.parse`. Whether the bytes are UTF-8 is for the caller to see, when `isAscii` is
 * false afterwards: outside of strings nothing else is taken.
 */
export type JsonPlace = JsonSpan | 'absent' | 'malformed' | 'too-deep';

/** The value is `json.subarray(start, end)`. */
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
const LETTER_U = 0x75;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
/** Behind the last byte: no byte. */
const NOTHING = -1;

export class JsonScan {
  readonly #json: Uint8Array;
  /** As far as it was looked at. */
  isAscii = true;

  constructor(json: Uint8Array) {
    this.#json = json;
  }

  /** `names`, at least one, lead from the root through objects to the value. */
  find(names: readonly string[]): JsonPlace {
    const json = this.#json;
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
      const code = byteAt(json, at);
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
        const behind = this.#skipScalar(at, code);
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
        if (byteAt(json, at) !== (isObject[depth] ? CLOSE_OBJECT : CLOSE_LIST)) break;
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
        if (byteAt(json, at) !== COMMA) return 'malformed';
        at = skipSpace(json, at + 1);
      }
      leads = false;
      if (!isObject[depth]) continue;
      const behindName = this.#skipString(at);
      if (behindName < 0) return 'malformed';
      if (onPath === depth && isName(json, at + 1, behindName - 1, names[depth - 1] as string)) {
        leads = true;
        start = -1;
        end = -1;
      }
      at = skipSpace(json, behindName);
      if (byteAt(json, at) !== COLON) return 'malformed';
      at = skipSpace(json, at + 1);
    }
  }

  /** Behind the text, number or word at `at`, or -1. */
  #skipScalar(at: number, code: number): number {
    if (code === QUOTE) return this.#skipString(at);
    if (code === MINUS || isDigit(code)) return skipNumber(this.#json, at);
    return skipWord(this.#json, at);
  }

  #skipString(from: number): number {
    const json = this.#json;
    const { length } = json;
    if (byteAt(json, from) !== QUOTE) return -1;
    for (let at = from + 1; at < length; at++) {
      const code = json[at] as number;
      if (code === QUOTE) return at + 1;
      if (code < 0x20) return -1;
      if (code === BACKSLASH) {
        at = behindEscape(json, at) - 1;
        if (at < 0) return -1;
      } else if (code > 0x7f) this.isAscii = false;
    }
    return -1;
  }
}

function byteAt(json: Uint8Array, at: number): number {
  return at < json.length ? (json[at] as number) : NOTHING;
}

function skipSpace(json: Uint8Array, from: number): number {
  const { length } = json;
  let at = from;
  for (; at < length; at++) {
    const code = json[at] as number;
    if (code > 0x20 || (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09)) break;
  }
  return at;
}

function skipWord(json: Uint8Array, at: number): number {
  for (const word of WORDS) if (isWord(json, at, word)) return at + word.length;
  return -1;
}

const WORDS = ['true', 'false', 'null'];

function isWord(json: Uint8Array, at: number, word: string): boolean {
  for (let i = 0; i < word.length; i++) if (byteAt(json, at + i) !== word.charCodeAt(i)) return false;
  return true;
}

/** What a letter behind a backslash stands for; 0: nothing. */
const ESCAPED = new Uint8Array(256);
for (const [letter, meant] of ['""', '\\\\', '//', 'b\b', 'f\f', 'n\n', 'r\r', 't\t']) {
  ESCAPED[(letter as string).charCodeAt(0)] = (meant as string).charCodeAt(0);
}

/** Behind the escape at `at`, or 0 when it is none. */
function behindEscape(json: Uint8Array, at: number): number {
  const escaped = byteAt(json, at + 1);
  if (escaped !== LETTER_U) return escaped !== NOTHING && ESCAPED[escaped] !== 0 ? at + 2 : 0;
  for (let i = 2; i < 6; i++) if (hexDigit(byteAt(json, at + i)) < 0) return 0;
  return at + 6;
}

function skipNumber(json: Uint8Array, from: number): number {
  let at = from;
  let code = byteAt(json, at);
  if (code === MINUS) code = byteAt(json, ++at);
  if (code === ZERO) code = byteAt(json, ++at);
  else {
    if (!isDigit(code)) return -1;
    do code = byteAt(json, ++at);
    while (isDigit(code));
  }
  if (code === POINT) {
    at = skipDigits(json, at + 1);
    if (at < 0) return -1;
    code = byteAt(json, at);
  }
  // e or E
  if ((code | 0x20) !== 0x65) return at;
  const sign = byteAt(json, at + 1);
  return skipDigits(json, sign === PLUS || sign === MINUS ? at + 2 : at + 1);
}

/** At least one. */
function skipDigits(json: Uint8Array, from: number): number {
  let at = from;
  while (isDigit(byteAt(json, at))) at++;
  return at === from ? -1 : at;
}

function isDigit(code: number): boolean {
  return code >= ZERO && code <= NINE;
}

/** Its value, or -1. */
function hexDigit(code: number): number {
  if (isDigit(code)) return code - ZERO;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/**
 * Whether the well-formed string between `start` and `end` is this name. Unit by unit and without a text of its own: names
 * that are written with escapes may be a hundred thousand.
 */
function isName(json: Uint8Array, start: number, end: number, name: string): boolean {
  let at = start;
  for (let i = 0; i < name.length; i++) {
    if (at >= end) return false;
    const code = json[at] as number;
    const wanted = name.charCodeAt(i);
    if (code === BACKSLASH) {
      if (unescaped(json, at) !== wanted) return false;
      at = behindEscape(json, at);
    } else if (code < 0x80) {
      if (code !== wanted) return false;
      at++;
    } else {
      const character = name.codePointAt(i) as number;
      const behind = behindCharacter(json, at, end, character);
      if (behind < 0) return false;
      at = behind;
      if (character > 0xffff) i++;
    }
  }
  return at === end;
}

function unescaped(json: Uint8Array, at: number): number {
  const escaped = json[at + 1] as number;
  if (escaped !== LETTER_U) return ESCAPED[escaped] as number;
  let unit = 0;
  for (let i = 2; i < 6; i++) unit = unit * 16 + hexDigit(json[at + i] as number);
  return unit;
}

/** Behind this character in UTF-8, or -1 when another one stands there. */
function behindCharacter(json: Uint8Array, at: number, end: number, character: number): number {
  const length = character > 0xffff ? 4 : character > 0x7ff ? 3 : 2;
  if (at + length > end) return -1;
  const lead = length === 4 ? 0xf0 : length === 3 ? 0xe0 : 0xc0;
  if (json[at] !== (lead | (character >> (6 * (length - 1))))) return -1;
  for (let i = 1; i < length; i++) {
    if (json[at + i] !== (0x80 | ((character >> (6 * (length - 1 - i))) & 0x3f))) return -1;
  }
  return at + length;
}
