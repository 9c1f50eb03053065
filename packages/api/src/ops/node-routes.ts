import type { Clock } from '@sluice/common/clock';
import type { FastifyInstance } from 'fastify';
import { textFromQuery } from '../query.ts';
import { addRoute, answers } from '../route.ts';
import type { HealthSource } from './health-view.ts';

export interface ApiNode {
  name: string;
  roles: readonly string[];
  status: 'running' | 'stopped';
  version: string;
  /** null for other nodes: they know. */
  startedAtMs: number | null;
  /** MQTT connections; 0 where no gateway runs, null for other nodes. */
  connections: number | null;
}

export const NODES_SCHEMA = {
  $id: 'Nodes',
  title: 'Nodes of the cluster',
  type: 'array',
  items: {
    type: 'object',
    required: ['node', 'node_status', 'version', 'uptime', 'connections', 'roles'],
    additionalProperties: false,
    properties: {
      node: { type: 'string', example: 'sluice@127.0.0.1' },
      node_status: { type: 'string', enum: ['running', 'stopped'] },
      version: { type: 'string' },
      uptime: {
        type: ['integer', 'null'],
        description: 'Milliseconds since it started; null for other nodes than the one that answers.',
      },
      connections: {
        type: ['integer', 'null'],
        description: 'MQTT connections; null for other nodes than the one that answers.',
      },
      roles: { type: 'array', items: { type: 'string', enum: ['gateway', 'store', 'coordinator'] } },
    },
  },
};

export interface NodeRoutesOptions {
  nodes: () => readonly ApiNode[];
  /** The node that answers; its name stands in `status`. */
  nodeName: string;
  version: string;
  health: HealthSource;
  clock: Clock;
}

export function addNodeRoutes(
  app: FastifyInstance,
  { nodes, nodeName, version, health, clock }: NodeRoutesOptions,
): void {
  addRoute(app, {
    method: 'GET',
    paths: ['/api/v5/nodes'],
    access: 'read',
    schema: {
      operationId: 'listNodes',
      tags: ['Operations'],
      summary: 'List nodes',
      response: answers({ 200: { description: 'The nodes', $ref: 'Nodes#' } }, 401, 403),
    },
    handle: async () =>
      nodes().map((node) => ({
        node: node.name,
        node_status: node.status,
        version: node.version,
        uptime: node.startedAtMs === null ? null : Math.max(0, Math.round(clock.nowMs() - node.startedAtMs)),
        connections: node.connections,
        roles: node.roles,
      })),
  });

  addRoute(app, {
    method: 'GET',
    paths: ['/api/v5/status'],
    access: 'read',
    schema: {
      operationId: 'getStatus',
      tags: ['Operations'],
      summary: 'Status of this node',
      description: 'One line of plain text, or JSON with `format=json`. 503 while the node is not ready.',
      querystring: {
        type: 'object',
        properties: {
          format: { type: 'string', enum: ['text', 'json'], default: 'text', description: 'Form of the answer.' },
        },
      },
      response: answers({ 200: { description: 'It serves', type: 'string' } }, 401, 403, 503),
    },
    handle: async ({ query }, reply) => {
      const ok = health.ready().ok;
      reply.code(ok ? 200 : 503);
      if (textFromQuery(query, 'format') === 'json') {
        return reply.send({
          node_name: nodeName,
          rel_vsn: version,
          broker_status: ok ? 'started' : 'starting',
          app_status: ok ? 'running' : 'not_running',
        });
      }
      const text = ok
        ? `Node ${nodeName} is started\nsluice is running`
        : `Node ${nodeName} is starting\nsluice is not running`;
      return reply.type('text/plain; charset=utf-8').send(text);
    },
  });
}
