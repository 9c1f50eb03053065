import type { Logger } from '@sluice/common/logger';
import {
  PEEK_LIMIT_MAX,
  PEEK_PAYLOAD_BYTES_MAX,
  type PeekedMessage,
  type QueueManagement,
} from '@sluice/rpc/contract/queue-management';
import type { FastifyInstance } from 'fastify';
import { unwrap } from '../outcome.ts';
import { integerFromQuery } from '../query.ts';
import { addRoute, answers } from '../route.ts';
import { findQueue } from './find-queue.ts';
import { NAME_PARAMETER, ONE_QUEUE } from './queue-routes.ts';

const PEEK_LIMIT_DEFAULT = 10;
const PEEK_PAYLOAD_BYTES_DEFAULT = 4_096;
/** Of all payloads of a page: it is built in memory, a third longer as base64 and again as text. */
const PAGE_PAYLOAD_BYTES_MAX = 1_048_576;

function messageView(message: PeekedMessage): Record<string, unknown> {
  const { properties } = message;
  return {
    partition: message.partition,
    offset: message.offset,
    topic: message.topic,
    publisher: message.publisher,
    qos: message.qos,
    retain: message.retain,
    published_at: new Date(message.publishedAtMs).toISOString(),
    expires_at: message.expiresAtMs === null ? null : new Date(message.expiresAtMs).toISOString(),
    delivery_count: message.deliveryCount,
    state: message.state,
    key: message.key,
    properties: {
      ...(properties.contentType === undefined ? {} : { content_type: properties.contentType }),
      ...(properties.responseTopic === undefined ? {} : { response_topic: properties.responseTopic }),
      ...(properties.correlationData === undefined ? {} : { correlation_data: base64(properties.correlationData) }),
      ...(properties.payloadFormatIndicator === undefined
        ? {}
        : { payload_format_indicator: properties.payloadFormatIndicator }),
      user_properties: properties.userProperties.map(([name, value]) => ({ name, value })),
    },
    payload: base64(message.payload),
    payload_text: textOf(message.payload, message.truncated),
    payload_size: message.payloadSizeBytes,
    truncated: message.truncated,
  };
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what tells bytes from text here.
const BINARY = /[\u0000-\u0008\u000b\u000c\u000e-\u001f]/;

/** The payload as text when it is UTF-8 that people can read; a cut in the middle of a character does not spoil it. */
export function textOf(bytes: Uint8Array, truncated: boolean): string | null {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes, { stream: truncated });
    return BINARY.test(text) ? null : text;
  } catch {
    return null;
  }
}

const MESSAGE_SCHEMA = {
  type: 'object',
  required: [
    'partition',
    'offset',
    'topic',
    'publisher',
    'qos',
    'retain',
    'published_at',
    'expires_at',
    'delivery_count',
    'state',
    'key',
    'properties',
    'payload',
    'payload_text',
    'payload_size',
    'truncated',
  ],
  additionalProperties: false,
  properties: {
    partition: { type: 'integer', description: 'Where it is stored.' },
    offset: { type: 'integer', description: 'Its place in the partition’s order of this queue.' },
    topic: { type: 'string', description: 'The topic it was published to.', example: 'orders/berlin' },
    publisher: { type: 'string', description: 'Client identifier of the publisher.' },
    qos: { type: 'integer', enum: [0, 1, 2], description: 'As published.' },
    retain: { type: 'boolean', description: 'As published.' },
    published_at: { type: 'string', format: 'date-time', description: 'When it was accepted.' },
    expires_at: {
      type: 'string',
      format: 'date-time',
      nullable: true,
      description: 'When it leaves undelivered; null: by retention only.',
    },
    delivery_count: { type: 'integer', description: 'How often it was handed to a consumer.' },
    state: {
      type: 'string',
      enum: ['ready', 'inflight'],
      description: '`inflight`: with a consumer, not acknowledged yet.',
    },
    key: { type: 'string', nullable: true, description: 'Last-value queues: its key.' },
    properties: {
      type: 'object',
      description: 'MQTT 5 properties as published.',
      required: ['user_properties'],
      additionalProperties: false,
      properties: {
        content_type: { type: 'string' },
        response_topic: { type: 'string' },
        correlation_data: { type: 'string', format: 'byte', description: 'base64' },
        payload_format_indicator: { type: 'integer' },
        user_properties: {
          type: 'array',
          description: 'In their order, repeated names kept.',
          items: {
            type: 'object',
            required: ['name', 'value'],
            additionalProperties: false,
            properties: { name: { type: 'string' }, value: { type: 'string' } },
          },
        },
      },
    },
    payload: {
      type: 'string',
      format: 'byte',
      description: 'base64 of the payload, or of its beginning when `truncated`.',
    },
    payload_text: { type: 'string', nullable: true, description: 'The same as text, when it is readable UTF-8.' },
    payload_size: { type: 'integer', description: 'Size of the whole payload in bytes.' },
    truncated: { type: 'boolean', description: 'Whether `payload` is only the beginning.' },
  },
};

export const MESSAGE_PAGE_SCHEMA = {
  $id: 'MessagePage',
  title: 'A page of messages',
  type: 'object',
  required: ['data', 'meta'],
  additionalProperties: false,
  properties: {
    data: { type: 'array', items: MESSAGE_SCHEMA },
    meta: {
      type: 'object',
      required: ['next'],
      additionalProperties: false,
      properties: {
        next: {
          type: 'integer',
          nullable: true,
          description: 'Give it as `from` to get the next page; null at the tail.',
        },
      },
    },
  },
};

export const PURGE_SCHEMA = {
  $id: 'Purged',
  title: 'What a purge removed',
  type: 'object',
  required: ['purged'],
  additionalProperties: false,
  properties: { purged: { type: 'integer', minimum: 0, description: 'Messages removed.' } },
};

/** What lies in a queue: looked at while nobody loses it, or removed altogether. */
export function addMessageRoutes(
  app: FastifyInstance,
  { queues, logger }: { queues: QueueManagement; logger: Logger },
): void {
  const tags = ['Messages'];

  addRoute(app, {
    method: 'GET',
    paths: [`${ONE_QUEUE[0]}/messages`, `${ONE_QUEUE[1]}/messages`],
    access: 'read',
    schema: {
      operationId: 'peekMessages',
      tags,
      summary: 'Peek at messages',
      description:
        'Looks without consuming, oldest first. No delivery count rises and no consumer loses a message. A page holds at most 1 MiB of payloads.',
      params: NAME_PARAMETER,
      querystring: {
        type: 'object',
        properties: {
          limit: {
            type: 'integer',
            minimum: 1,
            maximum: PEEK_LIMIT_MAX,
            default: PEEK_LIMIT_DEFAULT,
            description: 'Most messages.',
          },
          from: { type: 'integer', minimum: 0, description: 'First offset; left out: the head.' },
          partition: { type: 'integer', minimum: 0, description: 'Which partition; left out: the queue’s first.' },
          max_payload_bytes: {
            type: 'integer',
            minimum: 0,
            maximum: PEEK_PAYLOAD_BYTES_MAX,
            default: PEEK_PAYLOAD_BYTES_DEFAULT,
            description: 'Longer payloads are cut.',
          },
        },
      },
      response: answers({ 200: { description: 'A page', $ref: 'MessagePage#' } }, 400, 401, 403, 404, 503),
    },
    handle: async ({ params, query }) => {
      const limit = integerFromQuery(query, 'limit', { min: 1, max: PEEK_LIMIT_MAX, default: PEEK_LIMIT_DEFAULT });
      const wantedBytes = integerFromQuery(query, 'max_payload_bytes', {
        min: 0,
        max: PEEK_PAYLOAD_BYTES_MAX,
        default: PEEK_PAYLOAD_BYTES_DEFAULT,
      });
      const fromOffset = integerFromQuery(query, 'from', { min: 0, max: Number.MAX_SAFE_INTEGER, default: null });
      const partition = integerFromQuery(query, 'partition', { min: 0, max: 65_535, default: null });
      const { name } = await findQueue(queues, params.name ?? '');
      const payloadBytesMax = Math.min(wantedBytes, Math.floor(PAGE_PAYLOAD_BYTES_MAX / limit));
      const page = unwrap(await queues.peek(name, { limit, fromOffset, partition, payloadBytesMax }));
      return { data: page.messages.map(messageView), meta: { next: page.nextOffset } };
    },
  });

  addRoute(app, {
    method: 'POST',
    paths: [`${ONE_QUEUE[0]}/purge`, `${ONE_QUEUE[1]}/purge`],
    access: 'write',
    schema: {
      operationId: 'purgeQueue',
      tags,
      summary: 'Purge a queue',
      description:
        'Removes all its messages, also those that consumers hold; their acknowledgements are then ignored. The queue and its consumers stay. Takes no body.',
      params: NAME_PARAMETER,
      response: answers({ 200: { description: 'How many went', $ref: 'Purged#' } }, 401, 403, 404, 503),
    },
    handle: async ({ params, identity }) => {
      const { name } = await findQueue(queues, params.name ?? '');
      const purged = unwrap(await queues.purge(name));
      logger.warn({ queue: name, purged, apiKey: identity?.key }, 'queue purged');
      return { purged };
    },
  });
}
