import type { KeyEnvironment } from '../environment.ts';
import { Failure, integerOf, kindOf, numberOf, textOf, type Value } from '../value.ts';

/**
 * A function as the compiler knows it. `prepare` runs once, when the expression is compiled, with the arguments that
 * are constants; it refuses those that can never work and may do work ahead (compile a pattern). What it returns runs
 * for every message and does not keep its arguments.
 */
export interface KeyFunction {
  readonly name: string;
  /** Number of arguments, least and most. */
  readonly arity: readonly [number, number];
  /** `lists`: takes a list somewhere, or yields one. What a function that takes none is given is checked at compile time. */
  readonly takesList: boolean;
  readonly result: ResultKind;
  /** Depends on nothing but its arguments: computed at compile time when they are constants. */
  readonly pure: boolean;
  prepare(constants: readonly (Value | undefined)[]): Apply | Failure;
}

export type ResultKind = 'scalar' | 'list' | 'unknown';
export type Apply = (values: readonly Value[], environment: KeyEnvironment) => Value | Failure;

export const ANY_NUMBER = Number.POSITIVE_INFINITY;

/** A pure function of scalars that needs no preparation. */
export function scalarFunction(
  name: string,
  arity: readonly [number, number],
  apply: (values: readonly Value[]) => Value | Failure,
): KeyFunction {
  return { name, arity, takesList: false, result: 'scalar', pure: true, prepare: () => apply };
}

/** A pure function of texts. */
export function textFunction(
  name: string,
  arity: readonly [number, number],
  apply: (...texts: string[]) => Value | Failure,
): KeyFunction {
  return scalarFunction(name, arity, (values) => {
    const texts: string[] = [];
    for (const value of values) {
      const text = textOf(value);
      if (text instanceof Failure) return text;
      texts.push(text);
    }
    return apply(...texts);
  });
}

/** An argument that is one of a few words. */
export function choice(value: Value | undefined, words: readonly string[], otherwise: string): string | Failure {
  if (value === undefined) return otherwise;
  if (typeof value === 'string' && words.includes(value)) return value;
  return new Failure(`${typeof value === 'string' ? quoted(value) : kindOf(value)} is none of ${words.join(', ')}`);
}

/** An integer argument within bounds. */
export function integerWithin(value: Value, least: number, most: number, what: string): number | Failure {
  const integer = integerOf(value);
  if (integer instanceof Failure) return integer;
  return integer < least || integer > most ? new Failure(`${what} is not within ${least} to ${most}`) : integer;
}

/** Two numbers for a comparison or a range. */
export function numberPair(left: Value, right: Value): readonly [number, number] | Failure {
  const a = numberOf(left);
  if (a instanceof Failure) return a;
  const b = numberOf(right);
  return b instanceof Failure ? b : [a, b];
}

/** For messages: never more of somebody's data than says which it was. */
export function quoted(text: string): string {
  return text.length <= 40 ? `'${text}'` : `'${text.slice(0, 40)}…'`;
}
