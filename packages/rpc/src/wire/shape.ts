import { wireInvalid } from './codec.ts';

/**
 * What a parsed JSON value must look like before its type may be believed. A check throws and returns nothing: names it
 * does not know are kept, so that a newer node may say more.
 */
export type Check = (value: unknown, where: string) => void;

export const anyText: Check = (value, where) => {
  if (typeof value !== 'string') throw wireInvalid(`${where} is no text`);
};

export const anyFlag: Check = (value, where) => {
  if (typeof value !== 'boolean') throw wireInvalid(`${where} is no flag`);
};

export const anyInteger: Check = (value, where) => {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw wireInvalid(`${where} is no integer from 0 to 2^53 - 1`);
  }
};

/** A time of day or a distance of two: clocks may be wrong by more than they say. */
export const anyTime: Check = (value, where) => {
  if (!Number.isSafeInteger(value)) throw wireInvalid(`${where} is no integer from -2^53 + 1 to 2^53 - 1`);
};

export const anyAmount: Check = (value, where) => {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) {
    throw wireInvalid(`${where} is no finite number from 0 on`);
  }
};

/** Whoever takes it looks inside. */
export const anyObject: Check = (value, where) => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wireInvalid(`${where} is no object`);
};

export function oneOf(...names: readonly string[]): Check {
  return (value, where) => {
    if (typeof value !== 'string' || !names.includes(value))
      throw wireInvalid(`${where} is none of ${names.join(', ')}`);
  };
}

export function listOf(item: Check): Check {
  return (value, where) => {
    if (!Array.isArray(value)) throw wireInvalid(`${where} is no list`);
    for (const [at, one] of value.entries()) item(one, `${where}[${at}]`);
  };
}

export function maybe(check: Check): Check {
  return (value, where) => {
    if (value !== undefined) check(value, where);
  };
}

export function objectOf(fields: Readonly<Record<string, Check>>): Check {
  const checks = Object.entries(fields);
  return (value, where) => {
    anyObject(value, where);
    for (const [name, check] of checks) check((value as Record<string, unknown>)[name], `${where}.${name}`);
  };
}

/** A check for each field of each variant: a contract that grows does not compile until its shape does, too. */
type Variants<T extends { type: string }> = {
  readonly [K in T['type']]: { readonly [F in Exclude<keyof Extract<T, { type: K }>, 'type'>]: Check };
};

/** A union told apart by its `type`. */
export function typed<T extends { type: string }>(variants: Variants<T>): Check {
  const checks = new Map(
    Object.entries<Readonly<Record<string, Check>>>(variants).map(([type, fields]) => [type, objectOf(fields)]),
  );
  return (value, where) => {
    anyObject(value, where);
    const { type } = value as { type?: unknown };
    const check = typeof type === 'string' ? checks.get(type) : undefined;
    if (check === undefined) throw wireInvalid(`${where} has an unknown type`);
    check(value, where);
  };
}
