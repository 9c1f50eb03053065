import type { FastifyInstance } from 'fastify';
import { badRequest } from './api-error.ts';

/** Longest body. Definitions are small; messages do not come this way. */
export const BODY_BYTES_MAX = 1_048_576;

/** JSON of a request, with messages that say where it breaks. */
export function addJsonParser(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, bytes, done) => {
    if (bytes.length === 0) return done(null, undefined);
    if (isNestedDeeply(bytes as Buffer)) {
      return done(badRequest(`The body has more than ${BODY_DEPTH_MAX} objects or lists within each other`));
    }
    try {
      done(null, JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes as Buffer)));
    } catch (error) {
      const reason = error instanceof SyntaxError ? error.message : 'it is not UTF-8';
      done(
        badRequest(
          `The body is not valid JSON: ${reason}`,
          'Strings and names stand in double quotes, and nothing follows the last field but }',
        ),
      );
    }
  });
}

/** Nothing that is asked for here has more than three; what shows a value, or walks it, must not run out of stack. */
const BODY_DEPTH_MAX = 32;

/** Before it is parsed: a megabyte of brackets would take a sixth of a second. */
function isNestedDeeply(bytes: Buffer): boolean {
  let depth = 0;
  let quoted = false;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (quoted) {
      if (byte === BACKSLASH) at++;
      else if (byte === QUOTE) quoted = false;
    } else if (byte === QUOTE) quoted = true;
    else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
      if (++depth > BODY_DEPTH_MAX) return true;
    } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) depth--;
  }
  return false;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
