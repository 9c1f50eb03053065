import { suggestName } from '@sluice/common/suggest-name';
import { type MessageBindings, resolveVariable, unbound, VARIABLE_NAMES } from './bindings.ts';
import type { KeyEnvironment } from './environment.ts';
import { FUNCTIONS } from './functions/function-table.ts';
import type { Apply, KeyFunction, ResultKind } from './functions/key-function.ts';
import { type Syntax, SyntaxFault } from './syntax.ts';
import { Failure, isEmpty, isList, kindOf, type Value } from './value.ts';

/**
 * Tree to closures. What can be known before the first message is said now: names, numbers of arguments, constants that
 * no function takes, lists where none may stand. Constant parts are computed once.
 */
export interface Compiled {
  readonly evaluate: Evaluate;
  readonly kind: ResultKind;
  readonly constant: Value | undefined;
}

export type Evaluate = (message: MessageBindings, environment: KeyEnvironment) => Value | Failure;

type SpecialForm = (operands: readonly Compiled[]) => Compiled;

export function compile(syntax: Syntax): Compiled {
  switch (syntax.kind) {
    case 'literal':
      return constant(syntax.value);
    case 'variable':
      return compileVariable(syntax.path, syntax.position);
    case 'array':
      return compileArray(syntax.elements);
    case 'call':
      return compileCall(syntax);
  }
}

function constant(value: Value): Compiled {
  return { evaluate: () => value, kind: isList(value) ? 'list' : 'scalar', constant: value };
}

function compileVariable(path: string, position: number): Compiled {
  const read = resolveVariable(path);
  if (read === 'map') {
    throw new SyntaxFault(`${path} is a map, not a value`, position, `name one of its members: ${path}.<name>`);
  }
  if (read === undefined) {
    throw new SyntaxFault(`no message has a variable ${path}`, position, variableHint(path));
  }
  const missing = unbound(path);
  return { evaluate: (message) => read(message) ?? missing, kind: 'scalar', constant: undefined };
}

function variableHint(path: string): string {
  // The payload is bytes; what is in it has no name of its own.
  const field = /^(?:message\.)?payload\.(.+)$/.exec(path)?.[1];
  if (field !== undefined) return `a field of a JSON payload is json_value(message.payload, '${field}')`;
  const meant = suggestName(path, VARIABLE_NAMES);
  return meant === undefined ? `known are ${VARIABLE_NAMES.join(', ')}` : `did you mean ${meant}?`;
}

function compileArray(syntaxes: readonly Syntax[]): Compiled {
  const elements = syntaxes.map((element) => {
    const compiled = compile(element);
    if (compiled.kind === 'list') throw new SyntaxFault('a list within an array', element.position, 'use nth(…)');
    return compiled;
  });
  const constants = elements.map((element) => element.constant);
  if (constants.every((value) => value !== undefined)) return constant(constants);
  return {
    evaluate: (message, environment) => evaluateAll(elements, message, environment),
    kind: 'list',
    constant: undefined,
  };
}

/** Stops at the first that fails. */
function evaluateAll(
  operands: readonly Compiled[],
  message: MessageBindings,
  environment: KeyEnvironment,
): readonly Value[] | Failure {
  const values: Value[] = [];
  for (const operand of operands) {
    const value = operand.evaluate(message, environment);
    if (value instanceof Failure) return value;
    values.push(value);
  }
  return values;
}

function compileCall(syntax: Extract<Syntax, { kind: 'call' }>): Compiled {
  const { name, position } = syntax;
  const form = FORMS.get(name);
  const known = FUNCTIONS.get(name);
  if (form === undefined && known === undefined) {
    const names = [...FUNCTIONS.keys(), ...FORMS.keys()];
    const meant = suggestName(name, names);
    const hint = meant === undefined ? `known are ${names.sort().join(', ')}` : `did you mean ${meant}?`;
    throw new SyntaxFault(`unknown function ${name}`, position, hint);
  }
  checkArity(name, form?.arity ?? (known as KeyFunction).arity, syntax.arguments.length, position);
  if (form !== undefined) return form.compile(operandsOf(name, syntax.arguments));
  return compileFunction(known as KeyFunction, syntax.arguments, position);
}

function checkArity(name: string, [least, most]: readonly [number, number], given: number, position: number): void {
  if (given >= least && given <= most) return;
  const wanted =
    most === Number.POSITIVE_INFINITY ? `at least ${least}` : least === most ? `${least}` : `${least} to ${most}`;
  throw new SyntaxFault(`${name} takes ${wanted} arguments, not ${given}`, position, `${name} was given ${given}`);
}

function compileFunction(known: KeyFunction, syntaxes: readonly Syntax[], position: number): Compiled {
  const operands = syntaxes.map((syntax) => {
    const operand = compile(syntax);
    if (operand.kind === 'list' && !known.takesList) {
      throw new SyntaxFault(`${known.name} does not take a list`, syntax.position, 'use nth(…) or join_to_string(…)');
    }
    return operand;
  });
  const constants = operands.map((operand) => operand.constant);
  const apply = known.prepare(constants);
  if (apply instanceof Failure)
    throw new SyntaxFault(`${known.name}: ${apply.reason}`, position, 'correct the arguments');
  const evaluate = call(known.name, apply, operands);
  if (known.pure && constants.every((value) => value !== undefined)) {
    const value = evaluate(NO_MESSAGE, NO_ENVIRONMENT);
    if (!(value instanceof Failure)) return constant(value);
    if (!value.absent) throw new SyntaxFault(value.reason, position, 'this fails for every message');
  }
  return { evaluate, kind: known.result, constant: undefined };
}

function call(name: string, apply: Apply, operands: readonly Compiled[]): Evaluate {
  return (message, environment) => {
    const values = evaluateAll(operands, message, environment);
    if (values instanceof Failure) return values;
    const value = apply(values, environment);
    return value instanceof Failure && !value.reason.startsWith(name)
      ? new Failure(`${name}: ${value.reason}`, value.absent)
      : value;
  };
}

function operandsOf(name: string, syntaxes: readonly Syntax[]): readonly Compiled[] {
  // The elements of `coalesce([a, b])` are looked at one by one, so that one that is unbound does not end the array.
  const [only] = syntaxes;
  const listed = name === 'coalesce' && syntaxes.length === 1 && only?.kind === 'array' ? only.elements : syntaxes;
  return listed.map(compile);
}

const FORMS: ReadonlyMap<string, { arity: readonly [number, number]; compile: SpecialForm }> = new Map([
  ['coalesce', { arity: [1, Number.POSITIVE_INFINITY], compile: compileCoalesce }],
  ['iif', { arity: [3, 3], compile: compileIif }],
  ['is_empty', { arity: [1, 1], compile: compileIsEmpty }],
]);

/** The first operand that is neither absent nor empty; the empty text when all are. One list stands for its elements. */
function compileCoalesce(operands: readonly Compiled[]): Compiled {
  const evaluate: Evaluate = (message, environment) => {
    for (const operand of operands) {
      const value = operand.evaluate(message, environment);
      if (value instanceof Failure) {
        if (!value.absent) return value;
      } else if (operands.length === 1 && isList(value)) {
        return value.find((element) => !isEmpty(element)) ?? '';
      } else if (!isEmpty(value)) return value;
    }
    return '';
  };
  const lists = operands.length > 1 && operands.every((operand) => operand.kind === 'list');
  return { evaluate, kind: lists ? 'list' : 'unknown', constant: undefined };
}

/** True and any text that is not empty choose the second operand; false, the empty text and what is absent the third. */
function compileIif([condition, consequence, alternative]: readonly Compiled[]): Compiled {
  const [test, then, otherwise] = [condition as Compiled, consequence as Compiled, alternative as Compiled];
  const evaluate: Evaluate = (message, environment) => {
    const value = test.evaluate(message, environment);
    if (value instanceof Failure && !value.absent) return value;
    const chosen = conditionOf(value);
    if (chosen instanceof Failure) return chosen;
    return chosen ? then.evaluate(message, environment) : otherwise.evaluate(message, environment);
  };
  const kind = then.kind === otherwise.kind ? then.kind : 'unknown';
  return { evaluate, kind, constant: undefined };
}

function conditionOf(value: Value | Failure): boolean | Failure {
  if (value instanceof Failure) return false;
  if (typeof value === 'boolean') return value;
  if (typeof value === 'number')
    return new Failure(`iif: the condition is ${kindOf(value)}, compare it with num_eq or num_gt`);
  return !isEmpty(value);
}

function compileIsEmpty([operand]: readonly Compiled[]): Compiled {
  const evaluate: Evaluate = (message, environment) => {
    const value = (operand as Compiled).evaluate(message, environment);
    if (value instanceof Failure) return value.absent ? true : value;
    return isEmpty(value);
  };
  return { evaluate, kind: 'scalar', constant: undefined };
}

/** Constant folding reads neither: a constant has no variables and a pure function no environment. */
const NO_MESSAGE: MessageBindings = {
  id: '',
  qos: 0,
  from: '',
  topic: '',
  payload: new Uint8Array(0),
  timestampMs: 0,
  retain: false,
  dup: false,
  username: undefined,
  peerHost: undefined,
  peerName: undefined,
  protocolVersion: undefined,
  clientAttributes: undefined,
  properties: undefined,
};

const NO_ENVIRONMENT: KeyEnvironment = {
  nowMs: () => 0,
  randomBelow: () => 0,
  getenv: () => undefined,
  digest: () => new Uint8Array(0),
  base64Encode: () => '',
  base64Decode: () => new Uint8Array(0),
};
