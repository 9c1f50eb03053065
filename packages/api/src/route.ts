import type { FastifyInstance, FastifyReply, FastifyRequest, FastifySchema, HTTPMethods } from 'fastify';
import type { ApiIdentity } from './auth/api-key-store.ts';
import type { Access } from './auth/authenticate.ts';
import type { Query } from './query.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: Access;
    scope?: string;
  }
  interface FastifyRequest {
    /** Set before any handler of a route that is not public. */
    identity: ApiIdentity | null;
  }
}

export interface Route {
  method: HTTPMethods;
  /** The first is documented; the others are the same call under older or shorter names. */
  paths: readonly [string, ...string[]];
  access: Access;
  /** Of the API key, where it has some; that of queues unless said otherwise. */
  scope?: string;
  schema: FastifySchema & { summary: string; description?: string; tags: string[]; operationId: string };
  handle: (request: ApiRequest, reply: FastifyReply) => Promise<unknown>;
}

/** What handlers read of a request. */
export interface ApiRequest {
  params: Readonly<Record<string, string>>;
  query: Query;
  body: unknown;
  identity: ApiIdentity | null;
}

export function addRoute(app: FastifyInstance, route: Route): void {
  const [documented, ...aliases] = route.paths;
  const also =
    aliases.length === 0
      ? []
      : [`Also at ${aliases.map((path) => `\`${path.replace(/:(\w+)/g, '{$1}')}\``).join(', ')}.`];
  const description = [...(route.schema.description === undefined ? [] : [route.schema.description]), ...also].join(
    '\n\n',
  );
  for (const url of route.paths) {
    app.route({
      method: route.method,
      url,
      config: { access: route.access, ...(route.scope === undefined ? {} : { scope: route.scope }) },
      schema: url === documented ? { ...route.schema, ...(description === '' ? {} : { description }) } : { hide: true },
      handler: (request: FastifyRequest, reply) => route.handle(request as FastifyRequest & ApiRequest, reply),
    });
  }
}

/** The answers of a route in the document: its own and the errors it can give. */
export function answers(success: Record<string, unknown>, ...errors: number[]): Record<string, unknown> {
  const all: Record<string, unknown> = { ...success };
  for (const status of errors) all[status] = { description: ERROR_TEXTS[status] ?? 'Refused', $ref: 'Error#' };
  return all;
}

const ERROR_TEXTS: Readonly<Record<number, string>> = {
  400: '`BAD_REQUEST`: the message names the field and what is allowed',
  401: '`AUTHORIZATION_HEADER_ERROR`, `BAD_API_KEY_OR_SECRET` or `BAD_TOKEN`',
  403: '`UNAUTHORIZED_ROLE`: the key’s role or scopes do not reach',
  404: '`NOT_FOUND`: there is no such thing',
  409: '`ALREADY_EXISTS`: there is one of that name',
  503: '`SERVICE_UNAVAILABLE`: not enabled, not ready, or no leader answered',
};
