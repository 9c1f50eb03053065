import type { Clock } from '@sluice/common/clock';
import type { QueueDefinition } from '@sluice/meta/queue-definition';
import { CONSUMER_STATUSES } from '@sluice/queue/dispatch/consumer-status';
import type { QueueManagement, QueueStatistics } from '@sluice/rpc/contract/queue-management';
import type { FastifyInstance } from 'fastify';
import { ApiError } from '../api-error.ts';
import { unwrap } from '../outcome.ts';
import { PAGE_LIMIT_DEFAULT, pageOfQueues } from '../page-cursor.ts';
import { integerFromQuery, textFromQuery } from '../query.ts';
import { addRoute, answers } from '../route.ts';
import { findQueue, requireEnabled } from './find-queue.ts';
import { NAME_PARAMETER, ONE_QUEUE, PAGE_QUERY } from './queue-routes.ts';
import { PAGE_META_SCHEMA } from './queue-view.ts';

/** Each row asks the leaders of the queue's partitions: fewer fit a page than of definitions. */
const STATISTICS_LIMIT_MAX = 1_000;

/** `statistics` is null when no leader answered: unknown is not zero. */
function statisticsView(
  queue: QueueDefinition,
  figures: QueueStatistics | undefined,
  nowMs: number,
): Record<string, unknown> {
  const identity = { name: queue.name, topic_filter: queue.topicFilter, is_lastvalue: queue.isLastValue };
  if (figures === undefined) return { ...identity, statistics: null };
  const oldest = figures.oldestPublishedAtMs;
  return {
    ...identity,
    statistics: {
      depth_messages: figures.depthMessages,
      depth_bytes: figures.depthBytes,
      ready_messages: figures.readyMessages,
      inflight_messages: figures.inflightMessages,
      lag_messages: figures.lagMessages,
      lag_seconds: figures.lagSeconds,
      oldest_message_age_seconds: oldest === null ? 0 : Math.max(0, (nowMs - oldest) / 1_000),
      oldest_published_at: oldest === null ? null : new Date(oldest).toISOString(),
      lag_objective_seconds: figures.lagObjectiveSeconds,
      consumers: figures.consumers,
      status: figures.status,
      published_per_second: figures.publishedPerSecond,
      settled_per_second: figures.settledPerSecond,
      drain_seconds: figures.drainSeconds,
      keys: figures.keys,
      published_total: figures.publishedTotal,
      published_bytes_total: figures.publishedBytesTotal,
      accepted_total: figures.acceptedTotal,
      delivered_total: figures.deliveredTotal,
      redelivered_total: figures.redeliveredTotal,
      returned_total: figures.returnedTotal,
      refused_total: figures.refusedTotal,
      expired_total: figures.expiredTotal,
      overwritten_total: figures.overwrittenTotal,
      dropped_total: figures.droppedTotal,
      purged_total: figures.purgedTotal,
      partitions: figures.partitions.map((partition) => ({
        partition: partition.partition,
        head_offset: partition.headOffset,
        tail_offset: partition.tailOffset,
        depth_messages: partition.depthMessages,
        depth_bytes: partition.depthBytes,
        leader: partition.leader,
      })),
    },
  };
}

const count = (description: string) => ({ type: 'integer', minimum: 0, description });
const pace = (description: string) => ({
  type: 'number',
  minimum: 0,
  nullable: true,
  description: `${description} null while it is unknown.`,
});
const seconds = (description: string) => ({ type: 'number', minimum: 0, description });

const FIGURES = {
  depth_messages: count('Stored and not settled.'),
  depth_bytes: count('Bytes of those.'),
  ready_messages: count('Of the depth: deliverable now.'),
  inflight_messages: count('Of the depth: with a consumer, not acknowledged yet.'),
  lag_messages: count('Published and not settled yet, in flight included.'),
  lag_seconds: seconds('Age of the oldest message not settled, as the leader counted it.'),
  oldest_message_age_seconds: seconds('The same, up to this moment; 0 when there is none.'),
  oldest_published_at: {
    type: 'string',
    format: 'date-time',
    nullable: true,
    description: 'When that message was published.',
  },
  lag_objective_seconds: seconds('How old a message may become: the objective of the queue, or of the configuration.'),
  consumers: count('Attached consumers.'),
  status: {
    type: 'string',
    enum: CONSUMER_STATUSES,
    description:
      'How consumers stand to the backlog: `falling_behind` does not shrink and is older than a tenth of the objective, `stalled` has consumers that acknowledge nothing.',
  },
  published_per_second: pace('Messages that enter, in the mean of a minute.'),
  settled_per_second: pace('Messages that leave in whatever way, in the mean of a minute.'),
  drain_seconds: pace('Until nothing is left at that pace; null also when it does not shrink.'),
  keys: count('Last-value queues: keys that have a value.'),
  published_total: count('Messages that entered the queue.'),
  published_bytes_total: count('Their bytes.'),
  accepted_total: count('Acknowledged by consumers.'),
  delivered_total: count('Handed to consumers, again included. Counted since the current leader leads.'),
  redelivered_total: count('Of those: not for the first time.'),
  returned_total: count('Rejected, or given back by a consumer that left. Counted since the current leader leads.'),
  refused_total: count('Publishes refused because of a limit.'),
  expired_total: count('Left by age or expiry.'),
  overwritten_total: count('Replaced by a newer value of their key.'),
  dropped_total: count('Given up for newer ones by `drop_oldest`.'),
  purged_total: count('Removed by purge.'),
};

const STATISTICS = {
  type: 'object',
  nullable: true,
  description: 'null when no leader of the queue answered: unknown, not zero.',
  required: [...Object.keys(FIGURES), 'partitions'],
  additionalProperties: false,
  properties: {
    ...FIGURES,
    partitions: {
      type: 'array',
      description: 'A row for each partition that holds the queue.',
      items: {
        type: 'object',
        required: ['partition', 'head_offset', 'tail_offset', 'depth_messages', 'depth_bytes', 'leader'],
        additionalProperties: false,
        properties: {
          partition: count('Its number.'),
          head_offset: count('The lowest offset not settled.'),
          tail_offset: count('The offset the next message will get.'),
          depth_messages: count('Stored and not settled here.'),
          depth_bytes: count('Bytes of those.'),
          leader: { type: 'string', nullable: true, description: 'The node that leads it; null while there is none.' },
        },
      },
    },
  },
};

export const QUEUE_STATISTICS_SCHEMA = {
  $id: 'QueueStatistics',
  title: 'Figures of a queue',
  type: 'object',
  required: ['name', 'topic_filter', 'is_lastvalue', 'statistics'],
  additionalProperties: false,
  properties: {
    name: { type: 'string' },
    topic_filter: { type: 'string' },
    is_lastvalue: { type: 'boolean' },
    statistics: STATISTICS,
  },
};

export const STATISTICS_PAGE_SCHEMA = {
  $id: 'QueueStatisticsPage',
  title: 'Figures of a page of queues',
  type: 'object',
  required: ['data', 'meta'],
  additionalProperties: false,
  properties: { data: { type: 'array', items: { $ref: 'QueueStatistics#' } }, meta: PAGE_META_SCHEMA },
};

/** How queues do. The leaders are asked at the time of the call: nothing is kept here that could be old. */
export function addStatisticsRoutes(
  app: FastifyInstance,
  { queues, clock }: { queues: QueueManagement; clock: Clock },
): void {
  const tags = ['Statistics'];

  addRoute(app, {
    method: 'GET',
    paths: ['/api/v5/message_queues/stats', '/api/v5/queues/stats'],
    access: 'read',
    schema: {
      operationId: 'listQueueStatistics',
      tags,
      summary: 'Figures of all queues',
      description: 'In the order of the list of queues, paged in the same way.',
      querystring: {
        ...PAGE_QUERY,
        properties: {
          ...PAGE_QUERY.properties,
          limit: { ...PAGE_QUERY.properties.limit, maximum: STATISTICS_LIMIT_MAX },
        },
      },
      response: answers({ 200: { description: 'A page', $ref: 'QueueStatisticsPage#' } }, 400, 401, 403, 503),
    },
    handle: async ({ query }) => {
      await requireEnabled(queues);
      const limit = integerFromQuery(query, 'limit', {
        min: 1,
        max: STATISTICS_LIMIT_MAX,
        default: PAGE_LIMIT_DEFAULT,
      });
      const page = pageOfQueues(unwrap(await queues.list()), limit, textFromQuery(query, 'cursor'));
      const figures = unwrap(await queues.statistics(page.data.map(({ name }) => name)));
      const nowMs = clock.nowMs();
      return { data: page.data.map((queue) => statisticsView(queue, figures.get(queue.name), nowMs)), meta: page.meta };
    },
  });

  addRoute(app, {
    method: 'GET',
    paths: [`${ONE_QUEUE[0]}/stats`, `${ONE_QUEUE[1]}/stats`],
    access: 'read',
    schema: {
      operationId: 'getQueueStatistics',
      tags,
      summary: 'Figures of a queue',
      description:
        'Depth, lag, age of the oldest message, consumers and totals. 503 when no leader of the queue answers.',
      params: NAME_PARAMETER,
      response: answers({ 200: { description: 'The figures', $ref: 'QueueStatistics#' } }, 401, 403, 404, 503),
    },
    handle: async ({ params }) => {
      const queue = await findQueue(queues, params.name ?? '');
      const figures = unwrap(await queues.statistics([queue.name])).get(queue.name);
      if (figures === undefined) {
        throw new ApiError(
          503,
          'SERVICE_UNAVAILABLE',
          'The figures are not known: no leader of the queue answered',
          'Try again in a moment',
        );
      }
      return statisticsView(queue, figures, clock.nowMs());
    },
  });
}
