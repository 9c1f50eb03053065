import { badRequest } from './api-error.ts';
import { show } from './field/field.ts';

export type Query = Readonly<Record<string, unknown>>;

/** A whole number from the query string, within a range. */
export function integerFromQuery<D extends number | null>(
  query: Query,
  name: string,
  range: { min: number; max: number; default: D },
): number | D {
  const text = query[name];
  if (text === undefined || text === '') return range.default;
  const value = typeof text === 'string' && /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(value) && value >= range.min && value <= range.max) return value;
  throw badRequest(
    `Query parameter "${name}" must be a whole number between ${range.min} and ${range.max}, not ${show(text)}`,
  );
}

export function textFromQuery(query: Query, name: string): string | undefined {
  const text = query[name];
  if (text === undefined || text === '') return undefined;
  if (typeof text !== 'string') throw badRequest(`Query parameter "${name}" must be given once`);
  return text;
}
