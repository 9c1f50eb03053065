import type { Logger } from '@sluice/common/logger';
import { topicFilterProblem } from '@sluice/mqtt/topic/topic-filter';
import type { Outcome } from '@sluice/rpc/contract/queue-management';
import type { RetainedManagement, RetainedSummary } from '@sluice/rpc/contract/retained-management';
import type { FastifyInstance } from 'fastify';
import { ApiError, badRequest } from '../api-error.ts';
import { unwrap } from '../outcome.ts';
import { integerFromQuery, textFromQuery } from '../query.ts';
import { textOf } from '../queue/message-routes.ts';
import { addRoute, answers, type Route } from '../route.ts';

/** What API keys with scopes need: who handles queues need not see what devices retain. */
const SCOPE = 'retained_messages';
const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1_000;
/** A page is found by passing over those before it. */
const PAGE_MAX = 10_000;
const ALL = '/api/v5/mqtt/retainer/messages';
const ONE = '/api/v5/mqtt/retainer/message/:topic';

const TOPIC_PARAMETER = {
  type: 'object',
  properties: { topic: { type: 'string', description: 'The topic, URL-encoded.', example: 'fleet%2F7%2Fstate' } },
};

const SUMMARY = {
  topic: { type: 'string', example: 'fleet/7/state' },
  qos: { type: 'integer', enum: [0, 1, 2] },
  publish_at: { type: 'string', format: 'date-time' },
  from_clientid: { type: 'string', description: 'Who published it.' },
  expires_at: { type: 'string', format: 'date-time', nullable: true, description: 'null: it stays.' },
  payload_size: { type: 'integer', description: 'Bytes.' },
};

export const RETAINED_PAGE_SCHEMA = {
  $id: 'RetainedPage',
  title: 'A page of retained messages',
  type: 'object',
  required: ['data', 'meta'],
  additionalProperties: false,
  properties: {
    data: {
      type: 'array',
      items: { type: 'object', required: Object.keys(SUMMARY), additionalProperties: false, properties: SUMMARY },
    },
    meta: {
      type: 'object',
      required: ['page', 'limit', 'hasnext'],
      additionalProperties: false,
      properties: {
        page: { type: 'integer' },
        limit: { type: 'integer' },
        hasnext: { type: 'boolean', description: 'Whether another page follows.' },
      },
    },
  },
};

export const RETAINED_MESSAGE_SCHEMA = {
  $id: 'RetainedMessage',
  title: 'A retained message',
  type: 'object',
  required: [...Object.keys(SUMMARY), 'payload', 'payload_text'],
  additionalProperties: false,
  properties: {
    ...SUMMARY,
    payload: { type: 'string', format: 'byte', description: 'base64.' },
    payload_text: { type: 'string', nullable: true, description: 'The same as text, when it is readable UTF-8.' },
  },
};

interface RetainedRoutesOptions {
  retained: RetainedManagement;
  logger: Logger;
}

const TAGS = ['Retained messages'];

/** EMQX's paths for what is retained. Reading disturbs nobody; removing tells no subscriber. */
export function addRetainedRoutes(app: FastifyInstance, options: RetainedRoutesOptions): void {
  for (const route of [listRetainedMessages, getRetainedMessage, deleteRetainedMessage]) addRoute(app, route(options));
}

function listRetainedMessages({ retained }: RetainedRoutesOptions): Route {
  return {
    method: 'GET',
    paths: [ALL],
    access: 'read',
    scope: SCOPE,
    schema: {
      operationId: 'listRetainedMessages',
      tags: TAGS,
      summary: 'List retained messages',
      description: 'In an order that holds as long as nothing changes.',
      querystring: {
        type: 'object',
        properties: {
          topic: { type: 'string', description: 'A topic filter, `#` and `+` included.', default: '#' },
          page: { type: 'integer', minimum: 1, maximum: PAGE_MAX, default: 1, description: 'Which page.' },
          limit: {
            type: 'integer',
            minimum: 1,
            maximum: LIMIT_MAX,
            default: LIMIT_DEFAULT,
            description: 'Most messages of a page.',
          },
        },
      },
      response: answers({ 200: { description: 'A page', $ref: 'RetainedPage#' } }, 400, 401, 403, 503),
    },
    handle: async ({ query }) => {
      const filter = textFromQuery(query, 'topic') ?? '#';
      const problem = topicFilterProblem(filter);
      if (problem !== undefined) throw badRequest(`Query parameter "topic" is no topic filter: ${problem}`);
      const page = integerFromQuery(query, 'page', { min: 1, max: PAGE_MAX, default: 1 });
      const limit = integerFromQuery(query, 'limit', { min: 1, max: LIMIT_MAX, default: LIMIT_DEFAULT });
      const { messages, hasMore } = unwrap(await retained.list(filter, (page - 1) * limit, limit));
      return { data: messages.map(summaryView), meta: { page, limit, hasnext: hasMore } };
    },
  };
}

function getRetainedMessage({ retained }: RetainedRoutesOptions): Route {
  return {
    method: 'GET',
    paths: [ONE],
    access: 'read',
    scope: SCOPE,
    schema: {
      operationId: 'getRetainedMessage',
      tags: TAGS,
      summary: 'Get a retained message',
      params: TOPIC_PARAMETER,
      response: answers({ 200: { description: 'The message', $ref: 'RetainedMessage#' } }, 401, 403, 404, 503),
    },
    handle: async ({ params }) => {
      const message = found(await retained.get(params.topic ?? ''));
      const { payload } = message;
      const base64 = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('base64');
      return { ...summaryView(message), payload: base64, payload_text: textOf(payload, false) };
    },
  };
}

function deleteRetainedMessage({ retained, logger }: RetainedRoutesOptions): Route {
  return {
    method: 'DELETE',
    paths: [ONE],
    access: 'write',
    scope: SCOPE,
    schema: {
      operationId: 'deleteRetainedMessage',
      tags: TAGS,
      summary: 'Delete a retained message',
      description: 'Later subscribers do not get it. Nobody is told: publish an empty retained message for that.',
      params: TOPIC_PARAMETER,
      response: answers({ 204: { description: 'It is gone', type: 'null' } }, 401, 403, 404, 503),
    },
    handle: async ({ params, identity }, reply) => {
      const topic = params.topic ?? '';
      found(await retained.remove(topic));
      logger.info({ topic, apiKey: identity?.key }, 'retained message deleted');
      return reply.code(204).send();
    },
  };
}

function found<T>(outcome: Outcome<T>): T {
  if (!outcome.ok && outcome.code === 'NOT_FOUND') throw new ApiError(404, 'NOT_FOUND', 'Retained message not found');
  return unwrap(outcome);
}

function summaryView(message: RetainedSummary): Record<string, unknown> {
  return {
    topic: message.topic,
    qos: message.qos,
    publish_at: new Date(message.publishedAtMs).toISOString(),
    from_clientid: message.publisher,
    expires_at: message.expiresAtMs === null ? null : new Date(message.expiresAtMs).toISOString(),
    payload_size: message.payloadSizeBytes,
  };
}
