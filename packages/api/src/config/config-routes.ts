import type { Logger } from '@sluice/common/logger';
import { suggestName } from '@sluice/common/suggest-name';
import {
  DEFAULT_QUEUE_SUBSYSTEM_CONFIG,
  type DurationSetting,
  type QueueSubsystemConfig,
  type QueueTemplate,
} from '@sluice/meta/queue-subsystem-config';
import type { QueueManagement } from '@sluice/rpc/contract/queue-management';
import type { FastifyInstance } from 'fastify';
import { badFields } from '../api-error.ts';
import { accept, type Field, type FieldResult, objectSchema, readFields, reject, show } from '../field/field.ts';
import { durationField, INFINITY, integerField } from '../field/scalar-fields.ts';
import { unwrap } from '../outcome.ts';
import type { QueueInput } from '../queue/queue-input.ts';
import { addRoute, answers } from '../route.ts';

const CONFIG_PATHS = ['/api/v5/message_queues/config', '/api/v5/queues/config'] as const;
/** As far as a timer of EMQX reaches, so that a value accepted here is accepted there. */
const INTERVAL_MS_MAX = 4_294_967_295;
const COUNT_MAX = 10_000_000;
const ACCEPTED_ONLY = 'Accepted and returned for compatibility with EMQX; Sluice has no use for it.';

interface AutoCreateInput {
  regular: QueueTemplate | false;
  lastValue: QueueTemplate | false;
}

/** Durations come back as they were written, so the text is kept beside the number. */
function intervalField(description: string, standard: DurationSetting): Field<DurationSetting> {
  const field = durationField({ description, default: standard.given, minMs: 1, maxMs: INTERVAL_MS_MAX });
  return {
    schema: field.schema,
    read: (value) => {
      const read = field.read(value);
      return read.ok ? accept({ ms: read.value, given: value as string | number }) : read;
    },
  };
}

function createConfigFields(input: QueueInput) {
  const template = (isLastValue: boolean): Field<QueueTemplate | false> => ({
    schema: {
      oneOf: [
        { type: 'boolean', enum: [false] },
        isLastValue ? input.lastValueTemplateSchema : input.regularTemplateSchema,
      ],
    },
    read: (value): FieldResult<QueueTemplate | false> => {
      if (value === false) return accept(false as const);
      if (typeof value !== 'object' || value === null)
        return reject(`must be false or an object of queue settings, not ${show(value)}`);
      return input.readTemplate(value, isLastValue);
    },
  });
  const autoCreateFields = { regular: template(false), lastvalue: template(true) };
  const defaults = DEFAULT_QUEUE_SUBSYSTEM_CONFIG;
  return {
    enable: {
      schema: {
        description:
          'false switches queues off, which is possible only while there are none. `auto` is the same as true.',
        default: 'auto',
        oneOf: [{ type: 'boolean' }, { type: 'string', enum: ['auto'] }],
      },
      read: (value: unknown) =>
        value === 'auto' || typeof value === 'boolean'
          ? accept(value as boolean | 'auto')
          : reject<boolean | 'auto'>(`must be true, false or "auto", not ${show(value)}`),
    },
    max_queue_count: integerField({
      description: 'Most queues that may exist.',
      default: defaults.queueCountMax,
      min: 1,
      max: COUNT_MAX,
    }),
    gc_interval: intervalField(ACCEPTED_ONLY, defaults.gcInterval),
    regular_queue_retention_period: intervalField(ACCEPTED_ONLY, defaults.regularQueueRetention),
    find_queue_retry_interval: intervalField(ACCEPTED_ONLY, defaults.findQueueRetry),
    auto_create: {
      schema: objectSchema(autoCreateFields, [], {
        description:
          'What a subscription with a filter creates when there is no such queue: at most one of `regular` and `lastvalue` is an object of queue settings. Off by default.',
      }),
      read: (value: unknown): FieldResult<AutoCreateInput> => {
        const { values, problems } = readFields(autoCreateFields, value, suggestName);
        if (problems.length > 0) return { ok: false, problems };
        const regular = values.regular ?? false;
        const lastValue = values.lastvalue ?? false;
        if (regular !== false && lastValue !== false) {
          const message = 'Queues should be configured to be automatically created either as regular or lastvalue';
          return {
            ok: false,
            problems: [{ path: '', message, hint: 'Set one of the two to false', standsAlone: true }],
          };
        }
        return accept({ regular, lastValue });
      },
    } satisfies Field<AutoCreateInput>,
  };
}

export function configSchema(input: QueueInput) {
  return objectSchema(createConfigFields(input), [], {
    $id: 'QueuesConfig',
    title: 'Configuration of queues as a whole',
    example: { max_queue_count: 1_000 },
    description: 'On update, what is left out keeps its value; `auto_create` is replaced as a whole.',
  });
}

function configView(config: QueueSubsystemConfig): Record<string, unknown> {
  return {
    enable: config.enable,
    max_queue_count: config.queueCountMax,
    gc_interval: config.gcInterval.given,
    regular_queue_retention_period: config.regularQueueRetention.given,
    find_queue_retry_interval: config.findQueueRetry.given,
    auto_create: {
      regular: templateView(config.autoCreate.regular),
      lastvalue: templateView(config.autoCreate.lastValue),
    },
  };
}

function templateView(template: QueueTemplate | false): unknown {
  if (template === false) return false;
  const view: Record<string, unknown> = {
    key_expression: template.keyExpression ?? undefined,
    dispatch_strategy: template.dispatchStrategy,
    data_retention_period: template.dataRetentionMs,
    local_max_inflight: template.localMaxInflight,
    redispatch_interval: template.redispatchIntervalMs,
    consumer_max_inactive: template.consumerMaxInactiveMs,
    ping_interval: template.pingIntervalMs,
    busy_session_retry_interval: template.busySessionRetryIntervalMs,
    stream_max_buffer_size: template.streamMaxBufferSize,
    stream_max_unacked: template.streamMaxUnacked,
    consumer_persistence_interval: template.consumerPersistenceIntervalMs,
  };
  if (template.limits !== undefined) {
    view.limits = {
      max_shard_message_count: template.limits.countMax ?? INFINITY,
      max_shard_message_bytes: template.limits.bytesMax ?? INFINITY,
      overflow: template.limits.overflow,
    };
  }
  // What is undefined does not appear in JSON: the template comes back as short as it was given.
  return view;
}

export interface ConfigRoutesOptions {
  queues: QueueManagement;
  input: QueueInput;
  logger: Logger;
}

export function addConfigRoutes(app: FastifyInstance, { queues, input, logger }: ConfigRoutesOptions): void {
  const fields = createConfigFields(input);
  const tags = ['Configuration'];

  addRoute(app, {
    method: 'GET',
    paths: CONFIG_PATHS,
    access: 'read',
    schema: {
      operationId: 'getQueuesConfig',
      tags,
      summary: 'Read the configuration',
      description: 'Always available, also while queues are switched off.',
      response: answers({ 200: { description: 'The configuration', $ref: 'QueuesConfig#' } }, 401, 403, 503),
    },
    handle: async () => configView(unwrap(await queues.config())),
  });

  addRoute(app, {
    method: 'PUT',
    paths: CONFIG_PATHS,
    access: 'write',
    schema: {
      operationId: 'updateQueuesConfig',
      tags,
      summary: 'Change the configuration',
      body: { $ref: 'QueuesConfig#' },
      response: answers({ 204: { description: 'Changed', type: 'null' } }, 400, 401, 403, 503),
    },
    handle: async ({ body, identity }, reply) => {
      const { values, problems } = readFields(fields, body, suggestName);
      if (problems.length > 0) throw badFields(problems);
      const patch: Partial<QueueSubsystemConfig> = {};
      if (values.enable !== undefined) patch.enable = values.enable;
      if (values.max_queue_count !== undefined) patch.queueCountMax = values.max_queue_count;
      if (values.gc_interval !== undefined) patch.gcInterval = values.gc_interval;
      if (values.regular_queue_retention_period !== undefined)
        patch.regularQueueRetention = values.regular_queue_retention_period;
      if (values.find_queue_retry_interval !== undefined) patch.findQueueRetry = values.find_queue_retry_interval;
      if (values.auto_create !== undefined) patch.autoCreate = values.auto_create;
      unwrap(await queues.patchConfig(patch));
      logger.info({ changes: Object.keys(patch), apiKey: identity?.key }, 'configuration of queues changed');
      return reply.code(204).send();
    },
  });
}
