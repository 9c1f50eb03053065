import { KEY_BYTES_MAX } from '../record/record-format.ts';
import type { MessageBindings } from './bindings.ts';
import { compile, type Evaluate } from './compiler.ts';
import type { KeyEnvironment } from './environment.ts';
import { type KeyExpressionError, parse, SyntaxFault } from './syntax.ts';
import { Failure, hasHalfCharacter, isList, textOf } from './value.ts';

/**
 * The key of a last-value queue: what a message is the newest value *of*. An expression is written once, by whoever
 * creates the queue, and evaluated for every message by a publisher's hand, so everything wrong with it is said at
 * creation, and evaluation neither throws nor takes long: calls are bounded in number, and each in the length of what it
 * makes or in the steps it takes.
 *
 * A message without a key is not kept in that queue. An empty text is a key.
 *
 * @hotpath `evaluate`
 */
export type CompileOutcome = { ok: true; expression: KeyExpression } | { ok: false; error: KeyExpressionError };

export type KeyOutcome = { ok: true; key: string } | { ok: false; reason: string };

/** Never throws, whatever the source. */
export function compileKeyExpression(source: string): CompileOutcome {
  try {
    const syntax = parse(source);
    const compiled = compile(syntax);
    if (compiled.kind === 'list') {
      throw new SyntaxFault(
        'the result is a list',
        syntax.position,
        'choose one element with nth(…) or join_to_string(…)',
      );
    }
    return { ok: true, expression: new KeyExpression(source, compiled.evaluate) };
  } catch (fault) {
    if (!(fault instanceof SyntaxFault)) throw fault;
    return { ok: false, error: { message: fault.message, position: fault.position, hint: fault.hint } };
  }
}

export class KeyExpression {
  readonly source: string;
  readonly #evaluate: Evaluate;

  constructor(source: string, evaluate: Evaluate) {
    this.source = source;
    this.#evaluate = evaluate;
  }

  /** The key as text: numbers and booleans are written out, bytes must be UTF-8. */
  evaluate(message: MessageBindings, environment: KeyEnvironment): KeyOutcome {
    const value = this.#evaluate(message, environment);
    if (value instanceof Failure) return { ok: false, reason: value.reason };
    if (isList(value)) return RESULT_IS_LIST;
    const key = textOf(value);
    if (key instanceof Failure) return { ok: false, reason: key.reason };
    if (key.length * 3 > KEY_BYTES_MAX && Buffer.byteLength(key) > KEY_BYTES_MAX) return KEY_TOO_LONG;
    if (hasHalfCharacter(key)) return KEY_MALFORMED;
    return { ok: true, key };
  }
}

const RESULT_IS_LIST: KeyOutcome = { ok: false, reason: 'the result is a list' };
const KEY_TOO_LONG: KeyOutcome = { ok: false, reason: `the key has more than ${KEY_BYTES_MAX} bytes` };
const KEY_MALFORMED: KeyOutcome = { ok: false, reason: 'the key is not well-formed Unicode' };
