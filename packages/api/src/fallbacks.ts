import { suggestName } from '@sluice/common/suggest-name';
import type { FastifyInstance, HTTPMethods } from 'fastify';
import { ApiError } from './api-error.ts';

const METHODS: readonly HTTPMethods[] = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'];

/** Remembers which methods each path has. To be called before the first route is added. */
export function collectMethods(app: FastifyInstance): Map<string, Set<string>> {
  const methodsByPath = new Map<string, Set<string>>();
  app.addHook('onRoute', ({ url, method }) => {
    const methods = methodsByPath.get(url) ?? new Set();
    for (const one of [method].flat()) methods.add(one);
    methodsByPath.set(url, methods);
  });
  return methodsByPath;
}

/** Known path, wrong method: 405 with what is allowed. To be called after the last route. */
export function addMethodFallbacks(
  app: FastifyInstance,
  methodsByPath: ReadonlyMap<string, ReadonlySet<string>>,
): void {
  for (const [url, methods] of [...methodsByPath]) {
    const allow = [...methods].join(', ');
    app.route({
      method: METHODS.filter((method) => !methods.has(method as string)),
      url,
      config: { access: 'public' },
      schema: { hide: true },
      // Refused before the body is read: what it holds does not matter.
      onRequest: async (request, reply) => {
        reply.header('allow', allow);
        throw new ApiError(405, 'METHOD_NOT_ALLOWED', `${request.method} is not possible here`, `Possible: ${allow}`);
      },
      handler: async () => undefined,
    });
  }
}

/** Unknown path: 404, with the nearest one that exists. */
export function addNotFoundHandler(
  app: FastifyInstance,
  methodsByPath: ReadonlyMap<string, ReadonlySet<string>>,
): void {
  app.setNotFoundHandler((request, reply) => {
    const path = (request.url.split('?', 1)[0] as string).slice(0, PATH_SHOWN_MAX);
    const documented = [...methodsByPath.keys()].filter((url) => !url.includes(':'));
    // What all begin with says nothing of what was meant, and a path that ends alike somewhere deep is another call.
    const asked = path.replace(BASE, '');
    const near = documented.map((url) => url.replace(BASE, '')).filter((url) => depthOf(url) === depthOf(asked));
    const meant = suggestName(asked, near);
    const hint =
      meant === undefined
        ? 'All paths are listed at /api/v5/docs'
        : `Did you mean ${documented.find((url) => url.replace(BASE, '') === meant)}? All paths are listed at /api/v5/docs`;
    return reply.code(404).send(new ApiError(404, 'NOT_FOUND', `There is nothing at ${path}`, hint).body());
  });
}

function depthOf(path: string): number {
  return path.split('/').length;
}

const PATH_SHOWN_MAX = 200;
const BASE = '/api/v5';
