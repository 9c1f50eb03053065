import { suggestName } from '@sluice/common/suggest-name';
import type { QueueDefinition } from '@sluice/meta/queue-definition';
import {
  DEFAULT_KEY_EXPRESSION,
  NO_LIMITS,
  QUEUE_SETTING_DEFAULTS,
  type QueueTemplate,
} from '@sluice/meta/queue-subsystem-config';
import type { QueuePatch, QueueSpec } from '@sluice/rpc/contract/queue-management';
import { type FieldProblem, type FieldValues, objectSchema, readFields } from '../field/field.ts';
import { textField } from '../field/scalar-fields.ts';
import {
  type QueueFieldsOptions,
  queueIdentityFields,
  queueNameError,
  queueSettingFields,
  resolveLimits,
} from './queue-fields.ts';

type SettingFields = ReturnType<typeof queueSettingFields>;
export type Read<T> = { ok: true; value: T } | { ok: false; problems: FieldProblem[] };

/** Sent back by those who write what they have read. */
const createdAtField = {
  created_at: textField({ description: 'When the queue was created.', readOnly: true, charactersMax: 64 }),
};

/** From what was sent to what the port takes, or everything that is wrong with it. */
export class QueueInput {
  readonly #fields: ReturnType<typeof fieldsOf>;
  readonly createSchema: object;
  readonly updateSchema: object;
  readonly regularTemplateSchema: object;
  readonly lastValueTemplateSchema: object;

  constructor(options: QueueFieldsOptions) {
    this.#fields = fieldsOf(options);
    const { create, update, regularTemplate, lastValueTemplate } = this.#fields;
    this.createSchema = objectSchema(create, ['topic_filter'], {
      $id: 'QueueCreate',
      title: 'A queue to create',
      example: { name: 'orders', topic_filter: 'orders/#', is_lastvalue: false, dispatch_strategy: 'least_inflight' },
    });
    this.updateSchema = objectSchema(update, [], {
      $id: 'QueueUpdate',
      title: 'Changes to a queue',
      example: { dispatch_strategy: 'round_robin', limits: { max_message_count: 100_000 } },
      description:
        'What is left out keeps its value. `name`, `topic_filter`, `is_lastvalue`, `partitions` and `created_at` may be repeated but not changed.',
    });
    this.regularTemplateSchema = objectSchema(regularTemplate, [], {});
    this.lastValueTemplateSchema = objectSchema(lastValueTemplate, [], {});
  }

  readCreate(body: unknown): Read<QueueSpec> {
    const { values, problems } = readFields(this.#fields.create, body, suggestName);
    if (values.topic_filter === undefined && !problems.some(({ path }) => path === 'topic_filter' || path === '')) {
      problems.push({
        path: 'topic_filter',
        message: 'is required',
        hint: 'For example: {"name": "orders", "topic_filter": "orders/#"}',
      });
    }
    if (values.name !== undefined) {
      const error = queueNameError(values.name, values.topic_filter);
      if (error !== undefined) problems.push({ path: 'name', ...error });
    }
    const isLastValue = values.is_lastvalue ?? true;
    if (!isLastValue && values.key_expression !== undefined) problems.push(keyOnRegularQueue());
    const { limits, problems: limitProblems } = resolveLimits(values.limits ?? {}, undefined);
    problems.push(...limitProblems);
    if (problems.length > 0 || values.topic_filter === undefined) return { ok: false, problems };
    return {
      ok: true,
      value: {
        ...QUEUE_SETTING_DEFAULTS,
        ...settingsOf(values),
        name: values.name ?? `/${values.topic_filter}`,
        topicFilter: values.topic_filter,
        isLastValue,
        keyExpression: isLastValue ? (values.key_expression ?? DEFAULT_KEY_EXPRESSION) : null,
        limits: { ...NO_LIMITS, ...limits },
        partitionCount: values.partitions ?? 1,
      },
    };
  }

  readUpdate(body: unknown, current: QueueDefinition): Read<QueuePatch> {
    const { values, problems } = readFields(this.#fields.update, body, suggestName);
    if (values.is_lastvalue !== undefined && values.is_lastvalue !== current.isLastValue) {
      const message = 'LastValue flag is not allowed to be updated';
      return { ok: false, problems: [{ path: 'is_lastvalue', message, hint: RECREATE_HINT, standsAlone: true }] };
    }
    for (const [path, given, is] of [
      ['name', values.name, current.name],
      ['topic_filter', values.topic_filter, current.topicFilter],
      ['partitions', values.partitions, current.partitions.length],
      ['created_at', values.created_at, new Date(current.createdAtMs).toISOString()],
    ] as const) {
      if (given !== undefined && given !== is)
        problems.push({ path, message: `cannot be changed: it is ${JSON.stringify(is)}`, hint: RECREATE_HINT });
    }
    if (!current.isLastValue && values.key_expression !== undefined) problems.push(keyOnRegularQueue());
    const { limits, problems: limitProblems } = resolveLimits(values.limits ?? {}, current.limits);
    problems.push(...limitProblems);
    if (problems.length > 0) return { ok: false, problems };
    const patch: QueuePatch = settingsOf(values);
    if (values.key_expression !== undefined) patch.keyExpression = values.key_expression;
    if (Object.keys(limits).length > 0) patch.limits = limits;
    return { ok: true, value: patch };
  }

  /** The settings of queues that subscriptions create. */
  readTemplate(body: unknown, isLastValue: boolean): Read<QueueTemplate> {
    const fields: SettingFields | Omit<SettingFields, 'key_expression'> = isLastValue
      ? this.#fields.lastValueTemplate
      : this.#fields.regularTemplate;
    const { values, problems } = readFields(fields, body, suggestName) as {
      values: FieldValues<SettingFields>;
      problems: FieldProblem[];
    };
    const { limits, problems: limitProblems } = resolveLimits(values.limits ?? {}, undefined);
    problems.push(...limitProblems);
    if (problems.length > 0) return { ok: false, problems };
    const template: QueueTemplate = settingsOf(values);
    if (values.key_expression !== undefined) template.keyExpression = values.key_expression;
    if (values.limits !== undefined) template.limits = { ...NO_LIMITS, ...limits };
    return { ok: true, value: template };
  }
}

/** Which fields each kind of body may have. */
function fieldsOf(options: QueueFieldsOptions) {
  const settings = queueSettingFields(options);
  const create = { ...queueIdentityFields, ...settings };
  const { key_expression: keyExpression, ...regularTemplate } = settings;
  return {
    create,
    update: { ...create, ...createdAtField },
    regularTemplate,
    lastValueTemplate: { key_expression: keyExpression, ...regularTemplate },
  };
}

const RECREATE_HINT = 'Delete the queue and create it anew; its messages go with it';

function keyOnRegularQueue(): FieldProblem {
  return {
    path: 'key_expression',
    message: 'is allowed on last-value queues only',
    hint: 'Leave it out, or create the queue with "is_lastvalue": true',
  };
}

/** Our names for what was given; what was not stays absent. */
function settingsOf(values: Omit<FieldValues<SettingFields>, 'limits' | 'key_expression'>) {
  const settings: Omit<QueueTemplate, 'limits' | 'keyExpression'> = {};
  if (values.dispatch_strategy !== undefined) settings.dispatchStrategy = values.dispatch_strategy;
  if (values.data_retention_period !== undefined) settings.dataRetentionMs = values.data_retention_period;
  if (values.local_max_inflight !== undefined) settings.localMaxInflight = values.local_max_inflight;
  if (values.redispatch_interval !== undefined) settings.redispatchIntervalMs = values.redispatch_interval;
  if (values.lag_objective !== undefined) settings.lagObjectiveMs = values.lag_objective;
  if (values.consumer_max_inactive !== undefined) settings.consumerMaxInactiveMs = values.consumer_max_inactive;
  if (values.ping_interval !== undefined) settings.pingIntervalMs = values.ping_interval;
  if (values.busy_session_retry_interval !== undefined)
    settings.busySessionRetryIntervalMs = values.busy_session_retry_interval;
  if (values.stream_max_buffer_size !== undefined) settings.streamMaxBufferSize = values.stream_max_buffer_size;
  if (values.stream_max_unacked !== undefined) settings.streamMaxUnacked = values.stream_max_unacked;
  if (values.consumer_persistence_interval !== undefined)
    settings.consumerPersistenceIntervalMs = values.consumer_persistence_interval;
  return settings;
}
