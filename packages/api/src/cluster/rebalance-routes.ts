import type { Logger } from '@sluice/common/logger';
import type { BalanceStatus, ConnectionBalance } from '@sluice/rpc/contract/gateway-load';
import type { FastifyInstance } from 'fastify';
import { badFields } from '../api-error.ts';
import { objectSchema, readFields } from '../field/field.ts';
import { integerField } from '../field/scalar-fields.ts';
import { granted } from '../outcome.ts';
import { addRoute, answers } from '../route.ts';

const PATHS = ['/api/v5/cluster/rebalance'] as const;
const PER_SECOND_DEFAULT = 50;
const THRESHOLD_DEFAULT = 110;

const FIELDS = {
  connections_per_second: integerField({
    description:
      'How many connections each gateway with too many sends away a second. Each comes back with a handshake.',
    default: PER_SECOND_DEFAULT,
    min: 1,
    max: 10_000,
  }),
  threshold_percent: integerField({
    description: 'Gateways with more than this share of the mean send connections away, down to the mean.',
    default: THRESHOLD_DEFAULT,
    min: 101,
    max: 1_000,
  }),
};

const count = (description: string) => ({ type: 'integer', minimum: 0, description });

const GATEWAY = {
  node: { type: 'string', example: 'gateway-1' },
  connections: count('MQTT connections it has.'),
  shedding: { type: 'boolean', description: 'Whether it sends connections away.' },
  target: count('Down to how many; as many as it has while it sends none away.'),
  sent: count('Sent away since it began, or the last time.'),
};

const PROPERTIES = {
  under_way: { type: 'boolean', description: 'True until the last gateway is done.' },
  mean_connections: { type: 'number', minimum: 0, description: 'Of the gateways in service.' },
  gateways: {
    type: 'array',
    items: { type: 'object', required: Object.keys(GATEWAY), additionalProperties: false, properties: GATEWAY },
  },
};

export const REBALANCE_SCHEMA = {
  $id: 'Rebalance',
  title: 'How connections are spread over the gateways in service',
  type: 'object',
  required: Object.keys(PROPERTIES),
  additionalProperties: false,
  properties: PROPERTIES,
};

/** Connections stay where they are when a gateway is added; here they are spread anew. */
export function addRebalanceRoutes(
  app: FastifyInstance,
  { connections, logger }: { connections: ConnectionBalance; logger: Logger },
): void {
  const tags = ['Operations'];
  const status = { 200: { description: 'How connections are spread', $ref: 'Rebalance#' } };

  addRoute(app, {
    method: 'GET',
    paths: PATHS,
    access: 'read',
    schema: {
      operationId: 'getRebalance',
      tags,
      summary: 'How connections are spread over the gateways',
      response: answers(status, 401, 403, 503),
    },
    handle: async () => view(granted(await connections.look())),
  });

  addRoute(app, {
    method: 'POST',
    paths: PATHS,
    access: 'write',
    schema: {
      operationId: 'startRebalance',
      tags,
      summary: 'Spread connections evenly over the gateways',
      description:
        'Gateways that have too many send the oldest away, a few a second, and stop by themselves. MQTT 5 clients are told where to go (0x9C with Server Reference), 3.1.1 connections are closed; both connect again, and what they had not acknowledged is delivered again. Leaders of partitions spread by themselves.',
      body: objectSchema(FIELDS, [], { example: { connections_per_second: PER_SECOND_DEFAULT } }),
      response: answers(status, 400, 401, 403, 503),
    },
    handle: async ({ body, identity }) => {
      const { values, problems } = readFields(FIELDS, body ?? {}, () => undefined);
      if (problems.length > 0) throw badFields(problems);
      const perSecond = values.connections_per_second ?? PER_SECOND_DEFAULT;
      const threshold = (values.threshold_percent ?? THRESHOLD_DEFAULT) / 100;
      const started = granted(await connections.start({ threshold, perSecond }));
      logger.info({ key: identity?.key, perSecond, threshold }, 'connections are spread over the gateways');
      return view(started);
    },
  });

  addRoute(app, {
    method: 'DELETE',
    paths: PATHS,
    access: 'write',
    schema: {
      operationId: 'stopRebalance',
      tags,
      summary: 'Send no more connections away',
      response: answers(status, 401, 403, 503),
    },
    handle: async ({ identity }) => {
      const stopped = granted(await connections.stop());
      logger.info({ key: identity?.key }, 'connections stay where they are');
      return view(stopped);
    },
  });
}

function view({ isUnderWay, meanConnections, gateways }: BalanceStatus): Record<string, unknown> {
  return {
    under_way: isUnderWay,
    mean_connections: meanConnections,
    gateways: gateways.map(({ name, connections, isShedding, target, sent }) => ({
      node: name,
      connections,
      shedding: isShedding,
      target,
      sent,
    })),
  };
}
