import { suggestName } from '@sluice/common/suggest-name';
import type { FastifyInstance } from 'fastify';
import { ApiError, badFields, badRequest } from '../api-error.ts';
import { type FieldTable, type FieldValues, readFields } from '../field/field.ts';
import { integerFromQuery, type Query } from '../query.ts';
import { addRoute, type Route } from '../route.ts';

/** What the routes of users, rules and bans have in common: EMQX's pages and refusals. */
export const ACCESS_PAGE_QUERY = {
  type: 'object',
  properties: {
    page: { type: 'integer', minimum: 1, default: 1, description: 'Which page; the first is 1.' },
    limit: { type: 'integer', minimum: 1, maximum: 10_000, default: 100, description: 'Most rows of a page.' },
  },
};

export interface AccessPage<T> {
  data: T[];
  meta: { page: number; limit: number; count: number; hasnext: boolean };
}

export function pageOf<T, V>(rows: readonly T[], query: Query, view: (row: T) => V): AccessPage<V> {
  const page = integerFromQuery(query, 'page', { min: 1, max: 10_000_000, default: 1 });
  const limit = integerFromQuery(query, 'limit', { min: 1, max: 10_000, default: 100 });
  const start = (page - 1) * limit;
  const data = rows.slice(start, start + limit).map(view);
  return { data, meta: { page, limit, count: rows.length, hasnext: start + limit < rows.length } };
}

export function pageSchema(id: string, title: string, row: string): Record<string, unknown> {
  return {
    $id: id,
    title,
    type: 'object',
    required: ['data', 'meta'],
    additionalProperties: false,
    properties: {
      data: { type: 'array', items: { $ref: `${row}#` } },
      meta: {
        type: 'object',
        required: ['page', 'limit', 'count', 'hasnext'],
        additionalProperties: false,
        properties: {
          page: { type: 'integer' },
          limit: { type: 'integer' },
          count: { type: 'integer', description: 'Rows of all pages.' },
          hasnext: { type: 'boolean' },
        },
      },
    },
  };
}

/** The fields of a body, those of `required` among them. @throws ApiError 400 */
export function readBody<F extends FieldTable, R extends keyof F & string>(
  fields: F,
  required: readonly R[],
  body: unknown,
): FieldValues<F> & { [K in R]: Exclude<FieldValues<F>[K], undefined> } {
  const { values, problems } = readFields(fields, body, suggestName);
  if (problems.length > 0) throw badFields(problems);
  const missing = required.filter((name) => values[name] === undefined);
  if (missing.length > 0) throw badRequest(`${missing.map((name) => `"${name}"`).join(', ')} must be given`);
  return values as FieldValues<F> & { [K in R]: Exclude<FieldValues<F>[K], undefined> };
}

/** Every one of a list of bodies, or none: the first that is wrong is named with its place. @throws ApiError 400 */
export function readBodies<T>(body: unknown, most: number, read: (item: unknown) => T): T[] {
  if (!Array.isArray(body) || body.length === 0 || body.length > most) {
    throw badRequest(`The body must be a list of 1 to ${most} objects`);
  }
  return body.map((item, i) => {
    try {
      return read(item);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      throw badRequest(`Entry ${i + 1}: ${error.message}`, error.hint);
    }
  });
}

/** Whoever may handle queues may not for that decide who comes in. */
const ACCESS_SCOPE = 'access_control';
const ACCESS_TAG = 'Access';

/** A route of users, rules or bans: for keys that may handle these, and documented beside the others. */
export type AccessRoute = Omit<Route, 'scope' | 'schema'> & { schema: Omit<Route['schema'], 'tags'> };

export function addAccessRoute(app: FastifyInstance, route: AccessRoute): void {
  addRoute(app, { ...route, scope: ACCESS_SCOPE, schema: { ...route.schema, tags: [ACCESS_TAG] } as Route['schema'] });
}
