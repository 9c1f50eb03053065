import type { FastifyInstance } from 'fastify';
import { addRoute } from '../route.ts';
import { type HealthSource, healthView } from './health-view.ts';

export const HEALTH_SCHEMA = {
  $id: 'Health',
  title: 'Health of this process',
  type: 'object',
  required: ['status', 'checks'],
  additionalProperties: false,
  properties: {
    status: { type: 'string', enum: ['ok', 'failing'], description: 'ok when every check is.' },
    checks: {
      type: 'array',
      items: {
        type: 'object',
        required: ['name', 'ok', 'reason', 'since'],
        additionalProperties: false,
        properties: {
          name: { type: 'string', example: 'partitions' },
          ok: { type: 'boolean' },
          reason: { type: 'string', description: 'What is wrong; empty while all is well.' },
          since: { type: 'string', format: 'date-time', description: 'When it last changed.' },
        },
      },
    },
  },
};

/** For probes of whatever runs this process: open without a key, and answered from memory. */
export function addHealthRoutes(app: FastifyInstance, health: HealthSource): void {
  const rows = [
    {
      paths: ['/healthz', '/livez'],
      id: 'getLiveness',
      summary: 'Liveness',
      description: 'A failure asks for a restart. Needs no API key.',
      read: () => health.live(),
    },
    {
      paths: ['/readyz'],
      id: 'getReadiness',
      summary: 'Readiness',
      description: 'A failure only asks for no new traffic. Needs no API key.',
      read: () => health.ready(),
    },
  ] as const;
  for (const { paths, id, summary, description, read } of rows) {
    addRoute(app, {
      method: 'GET',
      paths,
      access: 'public',
      schema: {
        operationId: id,
        tags: ['Operations'],
        summary,
        description,
        security: [],
        response: {
          200: { description: 'All is well', $ref: 'Health#' },
          503: { description: 'A check fails', $ref: 'Health#' },
        },
      },
      handle: async (_request, reply) => {
        const report = read();
        return reply.code(report.ok ? 200 : 503).send(healthView(report));
      },
    });
  }
}
