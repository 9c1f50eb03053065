import { EXPOSITION_CONTENT_TYPE } from '@sluice/telemetry/exposition-text';
import type { FastifyInstance } from 'fastify';
import { addRoute } from '../route.ts';

/** Open without a key: it names no client, no topic and no message, and scrapers seldom know our keys. */
export function addMetricsRoute(app: FastifyInstance, metricsText: () => Promise<string>): void {
  addRoute(app, {
    method: 'GET',
    paths: ['/metrics'],
    access: 'public',
    schema: {
      operationId: 'getMetrics',
      tags: ['Operations'],
      summary: 'Metrics for Prometheus',
      description: 'Text format 0.0.4. Needs no API key.',
      security: [],
      response: { 200: { description: 'The page', type: 'string' } },
    },
    handle: async (_request, reply) => reply.type(EXPOSITION_CONTENT_TYPE).send(await metricsText()),
  });
}
