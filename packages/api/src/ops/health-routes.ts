import type { HealthReport } from '@sluice/telemetry/health';
import type { FastifyInstance } from 'fastify';
import { addRoute } from '../route.ts';

/** Answered from memory: a probe that went and looked would hang with the thing it looks at. */
export interface HealthSource {
  live(): HealthReport;
  ready(): HealthReport;
}

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

function healthView({ ok, checks }: HealthReport): Record<string, unknown> {
  return {
    status: ok ? 'ok' : 'failing',
    checks: checks.map((check) => ({
      name: check.name,
      ok: check.ok,
      reason: check.reason,
      since: new Date(check.sinceMs).toISOString(),
    })),
  };
}

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
