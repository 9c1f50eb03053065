import { Readable } from 'node:stream';
import { SluiceError } from '@sluice/common/errors';
import { EXPOSITION_CONTENT_TYPE } from '@sluice/telemetry/exposition-text';
import type { FastifyInstance } from 'fastify';
import { ApiError, badRequest } from '../api-error.ts';
import { textFromQuery } from '../query.ts';
import { addRoute } from '../route.ts';
import { nameMatcher } from './name-matcher.ts';

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

const QUEUE_FAMILIES = ['coarse', 'full', 'latency'] as const;
type QueueFamily = (typeof QUEUE_FAMILIES)[number];
const MATCH_CHARACTERS_MAX = 1_024;

/** Pages that are too long to be part of every scrape; in pieces, so that no string holds one. */
export interface MetricsDetail {
  queues(family: QueueFamily, matches: (name: string) => boolean): AsyncIterable<string>;
  groups(): AsyncIterable<string>;
}

export function addMetricsDetailRoutes(app: FastifyInstance, detail: MetricsDetail): void {
  addRoute(app, {
    method: 'GET',
    paths: ['/metrics/queues'],
    access: 'public',
    schema: {
      operationId: 'getQueueMetrics',
      tags: ['Operations'],
      summary: 'Metrics of all queues led by this node',
      description:
        'For those that `/metrics` has no room for. `family` is `coarse` (depth, age, lag, status), or with `match` also `full` or `latency` (histograms).',
      security: [],
      querystring: {
        type: 'object',
        properties: {
          match: { type: 'string', description: 'Names of queues; `*` stands for any characters', example: 'images-*' },
          family: { type: 'string', enum: [...QUEUE_FAMILIES], default: 'coarse' },
        },
      },
      response: { 200: { description: 'The page', type: 'string' } },
    },
    handle: async ({ query }, reply) => {
      const family = textFromQuery(query, 'family') ?? 'coarse';
      const match = textFromQuery(query, 'match');
      if (!isQueueFamily(family)) throw badRequest(`Query parameter "family" is one of ${QUEUE_FAMILIES.join(', ')}`);
      if (family !== 'coarse' && match === undefined) {
        throw badRequest(`The family "${family}" of all queues is too long: say which by "match", for example a*`);
      }
      if (match !== undefined && match.length > MATCH_CHARACTERS_MAX) throw badRequest('"match" is too long');
      const matches = match === undefined ? () => true : nameMatcher(match);
      return reply.type(EXPOSITION_CONTENT_TYPE).send(pageStream(() => detail.queues(family, matches)));
    },
  });
  addRoute(app, {
    method: 'GET',
    paths: ['/metrics/raft'],
    access: 'public',
    schema: {
      operationId: 'getRaftMetrics',
      tags: ['Operations'],
      summary: 'Metrics of each Raft group of this node',
      description: 'Group 0 is that of the metadata, the others are partitions.',
      security: [],
      response: { 200: { description: 'The page', type: 'string' } },
    },
    handle: async (_request, reply) => reply.type(EXPOSITION_CONTENT_TYPE).send(pageStream(() => detail.groups())),
  });
}

function isQueueFamily(text: string): text is QueueFamily {
  return (QUEUE_FAMILIES as readonly string[]).includes(text);
}

/** Longer than a scraper waits: its deadline is no longer than its interval, which is a minute by default. */
export const PAGE_MS_MAX = 60_000;

/**
 * A page on its way. There are few at once, for everybody, and who asks for one need not show a key: one that is not taken
 * in time is given up, or some connections that read nothing would keep all others from theirs.
 */
export function pageStream(open: () => AsyncIterable<string>): Readable {
  try {
    const page = Readable.from(open());
    const deadline = setTimeout(() => page.destroy(new Error('the page was not read in time')), PAGE_MS_MAX).unref();
    return page.once('close', () => clearTimeout(deadline));
  } catch (cause) {
    if (!(cause instanceof SluiceError) || cause.code !== 'METRICS_BUSY') throw cause;
    throw new ApiError(503, 'SERVICE_UNAVAILABLE', cause.message, cause.hint);
  }
}
