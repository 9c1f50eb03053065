import type { Logger } from '@sluice/common/logger';
import type { QueueManagement } from '@sluice/rpc/contract/queue-management';
import type { FastifyInstance } from 'fastify';
import { badFields } from '../api-error.ts';
import { unwrap } from '../outcome.ts';
import { PAGE_LIMIT_DEFAULT, PAGE_LIMIT_MAX, pageOfQueues } from '../page-cursor.ts';
import { integerFromQuery, textFromQuery } from '../query.ts';
import { addRoute, answers, type Route } from '../route.ts';
import { findQueue, requireEnabled } from './find-queue.ts';
import type { QueueInput } from './queue-input.ts';
import { queueView } from './queue-view.ts';

const COLLECTION = ['/api/v5/message_queues/queues', '/api/v5/queues'] as const;
/** The alias is singular, as in EMQX: `/queues/config` would hide a queue called config. */
export const ONE_QUEUE = ['/api/v5/message_queues/queues/:name', '/api/v5/queue/:name'] as const;

export const NAME_PARAMETER = {
  type: 'object',
  required: ['name'],
  properties: {
    name: {
      type: 'string',
      description:
        'The queue’s name, URL-encoded. A queue created without a name is also found by its URL-encoded filter: `sensors%2F%23`.',
      example: 'orders',
    },
  },
};

export const PAGE_QUERY = {
  type: 'object',
  properties: {
    limit: {
      type: 'integer',
      minimum: 1,
      maximum: PAGE_LIMIT_MAX,
      default: PAGE_LIMIT_DEFAULT,
      description: 'Most rows of a page.',
    },
    cursor: { type: 'string', description: 'The `cursor` of the page before.' },
  },
};

const CREATE_REFUSALS =
  '`BAD_REQUEST`: the message names the field and what is allowed; `ALREADY_EXISTS`; `MAX_QUEUE_COUNT_REACHED`';

export interface QueueRoutesOptions {
  queues: QueueManagement;
  input: QueueInput;
  logger: Logger;
}

const TAGS = ['Queues'];

/** Queues under EMQX's paths: what each is. What lies in it is `message-routes`, how it does is `statistics-routes`. */
export function addQueueRoutes(app: FastifyInstance, options: QueueRoutesOptions): void {
  for (const route of [listQueues, createQueue, getQueue, updateQueue, deleteQueue]) addRoute(app, route(options));
}

function listQueues({ queues }: QueueRoutesOptions): Route {
  return {
    method: 'GET',
    paths: COLLECTION,
    access: 'read',
    schema: {
      operationId: 'listQueues',
      tags: TAGS,
      summary: 'List queues',
      description: 'Ordered by topic filter, then name. Page through with `limit` and `cursor`.',
      querystring: PAGE_QUERY,
      response: answers({ 200: { description: 'A page', $ref: 'QueuePage#' } }, 400, 401, 403, 503),
    },
    handle: async ({ query }) => {
      await requireEnabled(queues);
      const limit = integerFromQuery(query, 'limit', { min: 1, max: PAGE_LIMIT_MAX, default: PAGE_LIMIT_DEFAULT });
      const page = pageOfQueues(unwrap(await queues.list()), limit, textFromQuery(query, 'cursor'));
      return { data: page.data.map(queueView), meta: page.meta };
    },
  };
}

function createQueue({ queues, input, logger }: QueueRoutesOptions): Route {
  return {
    method: 'POST',
    paths: COLLECTION,
    access: 'write',
    schema: {
      operationId: 'createQueue',
      tags: TAGS,
      summary: 'Create a queue',
      description:
        'Messages published from now on enter the queue. Consumers that subscribed before it existed start to receive.',
      body: { $ref: 'QueueCreate#' },
      response: {
        ...answers({ 200: { description: 'The queue, with all defaults filled in', $ref: 'Queue#' } }, 401, 403, 503),
        400: { description: CREATE_REFUSALS, $ref: 'Error#' },
      },
    },
    handle: async ({ body, identity }) => {
      await requireEnabled(queues);
      const read = input.readCreate(body);
      if (!read.ok) throw badFields(read.problems);
      const queue = unwrap(await queues.create(read.value));
      logger.info({ queue: queue.name, topicFilter: queue.topicFilter, apiKey: identity?.key }, 'queue created');
      return queueView(queue);
    },
  };
}

function getQueue({ queues }: QueueRoutesOptions): Route {
  return {
    method: 'GET',
    paths: ONE_QUEUE,
    access: 'read',
    schema: {
      operationId: 'getQueue',
      tags: TAGS,
      summary: 'Read a queue',
      params: NAME_PARAMETER,
      response: answers({ 200: { description: 'The queue', $ref: 'Queue#' } }, 401, 403, 404, 503),
    },
    handle: async ({ params }) => queueView(await findQueue(queues, params.name ?? '')),
  };
}

function updateQueue({ queues, input, logger }: QueueRoutesOptions): Route {
  return {
    method: 'PUT',
    paths: ONE_QUEUE,
    access: 'write',
    schema: {
      operationId: 'updateQueue',
      tags: TAGS,
      summary: 'Change a queue',
      description:
        'Fields that are left out keep their values (EMQX resets them to defaults). Changes act on running consumers at once.',
      params: NAME_PARAMETER,
      body: { $ref: 'QueueUpdate#' },
      response: answers({ 200: { description: 'The queue as it is now', $ref: 'Queue#' } }, 400, 401, 403, 404, 503),
    },
    handle: async ({ params, body, identity }) => {
      const current = await findQueue(queues, params.name ?? '');
      const read = input.readUpdate(body, current);
      if (!read.ok) throw badFields(read.problems);
      if (Object.keys(read.value).length === 0) return queueView(current);
      const queue = unwrap(await queues.update(current.name, read.value));
      logger.info({ queue: queue.name, changes: Object.keys(read.value), apiKey: identity?.key }, 'queue changed');
      return queueView(queue);
    },
  };
}

function deleteQueue({ queues, logger }: QueueRoutesOptions): Route {
  return {
    method: 'DELETE',
    paths: ONE_QUEUE,
    access: 'write',
    schema: {
      operationId: 'deleteQueue',
      tags: TAGS,
      summary: 'Delete a queue',
      description: 'Its messages are lost. Consumers stay subscribed and wait for a queue of that name.',
      params: NAME_PARAMETER,
      response: answers({ 204: { description: 'Deleted', type: 'null' } }, 401, 403, 404, 503),
    },
    handle: async ({ params, identity }, reply) => {
      const { name } = await findQueue(queues, params.name ?? '');
      unwrap(await queues.remove(name));
      logger.info({ queue: name, apiKey: identity?.key }, 'queue deleted');
      return reply.code(204).send();
    },
  };
}
