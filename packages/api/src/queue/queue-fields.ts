import { suggestName } from '@sluice/common/suggest-name';
import { DISPATCH_STRATEGIES, OVERFLOW_POLICIES, type QueueLimits } from '@sluice/meta/queue-definition';
import { DEFAULT_KEY_EXPRESSION, DEFAULT_OVERFLOW, QUEUE_SETTING_DEFAULTS } from '@sluice/meta/queue-subsystem-config';
import { QUEUE_NAME, topicFilterProblem } from '@sluice/mqtt/topic/topic-filter';
import { type Field, type FieldProblem, objectSchema, readFields } from '../field/field.ts';
import {
  booleanField,
  checkedTextField,
  choiceField,
  countLimitField,
  DEFAULT,
  durationField,
  INFINITY,
  integerField,
  ownDurationField,
  sizeLimitField,
  textField,
} from '../field/scalar-fields.ts';

/** Says whether a key expression can be compiled; injected, so that the API does not depend on the language. */
export type ValidateKeyExpression = (source: string) => { ok: true } | { ok: false; message: string; hint: string };

const SECOND_MS = 1_000;
const DAY_MS = 86_400_000;
/** Longer than any broker lives, short enough that adding it to a timestamp stays exact. */
const DURATION_MS_MAX = 36_500 * DAY_MS;
const LAG_OBJECTIVE_MS_MAX = 365 * DAY_MS;
const NAME_CHARACTERS_MAX = 255;
const FILTER_CHARACTERS_MAX = 65_535;
const KEY_EXPRESSION_CHARACTERS_MAX = 4_096;
const PARTITIONS_MAX = 4_096;
const WINDOW_MAX = 65_535;
const ACCEPTED_ONLY = 'Accepted and returned for compatibility with EMQX; has no effect in Sluice.';

const limitFields = {
  max_shard_message_count: countLimitField({
    description:
      'Most messages a partition of the queue holds. Same setting as `max_message_count`, under the name EMQX gives it.',
    default: INFINITY,
    example: 100_000,
  }),
  max_shard_message_bytes: sizeLimitField({
    description:
      'Most bytes a partition of the queue holds. Same setting as `max_message_bytes`, under the name EMQX gives it.',
    default: INFINITY,
    example: '100MB',
  }),
  max_message_count: countLimitField({
    description:
      'Most messages a partition of the queue holds. With one partition (the default) that is the whole queue.',
    default: INFINITY,
    example: 100_000,
  }),
  max_message_bytes: sizeLimitField({
    description:
      'Most bytes a partition of the queue holds, payloads and properties. With one partition (the default) that is the whole queue.',
    default: INFINITY,
    example: '100MB',
  }),
  overflow: choiceField(OVERFLOW_POLICIES, {
    description:
      'What happens to a publish beyond a limit. `refuse`: MQTT 5 publishers get reason code 0x97, MQTT 3.1.1 connections are closed without an acknowledgement. `drop_oldest`: the oldest messages make room; one that is larger than `max_message_bytes` by itself is refused.',
    default: DEFAULT_OVERFLOW,
  }),
};

/** Which aliases were given is kept: what they mean when they differ depends on whether it is a create or an update. */
export type LimitsInput = ReturnType<typeof readLimits>['values'];
const readLimits = (value: unknown) => readFields(limitFields, value, suggestName);

const limitsField: Field<LimitsInput> = {
  schema: objectSchema(limitFields, [], {
    description: 'Hard limits, checked at every publish. On update, parts that are left out keep their values.',
  }),
  read: (value) => {
    const { values, problems } = readLimits(value);
    return problems.length === 0 ? { ok: true, value: values } : { ok: false, problems };
  },
};

/** Settings of EMQX's queues that mean nothing here: taken, checked and given back, so that its clients need not change. */
const acceptedOnlyFields = {
  consumer_max_inactive: durationField({
    description: ACCEPTED_ONLY,
    default: '30s',
    minMs: 1,
    maxMs: DURATION_MS_MAX,
  }),
  ping_interval: durationField({ description: ACCEPTED_ONLY, default: '10s', minMs: 1, maxMs: DURATION_MS_MAX }),
  busy_session_retry_interval: durationField({
    description: ACCEPTED_ONLY,
    default: '100ms',
    minMs: 1,
    maxMs: DURATION_MS_MAX,
  }),
  stream_max_buffer_size: integerField({
    description: ACCEPTED_ONLY,
    default: QUEUE_SETTING_DEFAULTS.streamMaxBufferSize,
    min: 1,
    max: 1_000_000_000,
  }),
  stream_max_unacked: integerField({
    description: ACCEPTED_ONLY,
    default: QUEUE_SETTING_DEFAULTS.streamMaxUnacked,
    min: 1,
    max: 1_000_000_000,
  }),
  consumer_persistence_interval: durationField({
    description: ACCEPTED_ONLY,
    default: '10s',
    minMs: 1,
    maxMs: DURATION_MS_MAX,
  }),
};

export interface QueueFieldsOptions {
  validateKeyExpression: ValidateKeyExpression;
}

/** What may be set when a queue is created and changed later. */
export function queueSettingFields({ validateKeyExpression }: QueueFieldsOptions) {
  return {
    key_expression: checkedTextField(
      {
        description:
          'Last-value queues only: the expression whose result is the key of a message. Messages whose key cannot be computed are not queued.',
        default: DEFAULT_KEY_EXPRESSION,
        example: 'message.topic',
        charactersMax: KEY_EXPRESSION_CHARACTERS_MAX,
      },
      (source) => {
        const checked = validateKeyExpression(source);
        return checked.ok
          ? undefined
          : { message: `is not a valid expression: ${checked.message}`, hint: checked.hint };
      },
    ),
    dispatch_strategy: choiceField(DISPATCH_STRATEGIES, {
      description:
        'Which consumer gets the next message: any, each in turn, or the one with the fewest unacknowledged ones. A change acts at once.',
      default: QUEUE_SETTING_DEFAULTS.dispatchStrategy,
    }),
    data_retention_period: durationField({
      description: 'Messages older than this, by their publish time, leave the queue undelivered.',
      default: '7d',
      example: '7d',
      minMs: 1,
      maxMs: DURATION_MS_MAX,
    }),
    limits: limitsField,
    local_max_inflight: integerField({
      description: 'Most unacknowledged messages of this queue per consumer; MQTT 5 Receive Maximum may lower it.',
      default: QUEUE_SETTING_DEFAULTS.localMaxInflight,
      min: 1,
      max: WINDOW_MAX,
    }),
    redispatch_interval: durationField({
      description: 'How long a rejected message waits when no other consumer can take it.',
      default: '100ms',
      minMs: 1,
      maxMs: DAY_MS,
    }),
    lag_objective: ownDurationField({
      description:
        'How old a message may become before the consumers of this queue are too slow: the status of the queue, `sluice lag`, dashboards and alerts go by it. Nothing is refused or dropped because of it. `default`: as the configuration says (`queues.lagObjective`).',
      default: DEFAULT,
      example: '30s',
      minMs: SECOND_MS,
      maxMs: LAG_OBJECTIVE_MS_MAX,
    }),
    ...acceptedOnlyFields,
  };
}

/** What makes a queue the one it is: given once, and from then on only repeated. */
export const queueIdentityFields = {
  name: textField({
    description:
      'Consumers subscribe to `$queue/<name>`. Letters, digits, `-`, `.` and `_`, beginning with a letter or digit. Left out, the queue is called `/<topic_filter>` and reached as `$q/<topic_filter>`.',
    example: 'orders',
    charactersMax: FILTER_CHARACTERS_MAX + 1,
  }),
  topic_filter: checkedTextField(
    {
      description:
        'MQTT topic filter: what is published to matching topics enters the queue. Several queues may have the same filter.',
      example: 'orders/#',
      charactersMax: FILTER_CHARACTERS_MAX,
    },
    topicFilterError,
  ),
  is_lastvalue: booleanField({
    description:
      'true: only the newest message of each key is kept. false: every message is kept until a consumer has acknowledged it.',
    default: true,
  }),
  partitions: integerField({
    description:
      'Over how many partitions of the cluster the queue spreads. 1 keeps one order over all messages; more keep it per key or publisher.',
    default: 1,
    min: 1,
    max: PARTITIONS_MAX,
  }),
};

export function queueNameError(
  name: string,
  topicFilter: string | undefined,
): { message: string; hint: string } | undefined {
  // A queue made without a name may be written back under the one it was given.
  if (topicFilter !== undefined && name === `/${topicFilter}`) return undefined;
  if (!QUEUE_NAME.test(name)) {
    const hint = name.startsWith('/')
      ? 'Leave "name" out to create a queue that is named after its filter'
      : 'Use letters, digits, "-", "." and "_", beginning with a letter or digit';
    return { message: `must match ${QUEUE_NAME.source}`, hint };
  }
  if (name.length > NAME_CHARACTERS_MAX)
    return { message: `is longer than ${NAME_CHARACTERS_MAX} characters`, hint: '' };
  return undefined;
}

function topicFilterError(filter: string): { message: string; hint: string } | undefined {
  const problem = topicFilterProblem(filter);
  if (problem !== undefined) return { message: `is not a valid topic filter: ${problem}`, hint: '' };
  const prefix = /^(\$q|\$queue|\$share|\$stream|\$s)(\/|$)/.exec(filter)?.[1];
  if (prefix !== undefined) {
    return {
      message: `must not begin with ${prefix}/`,
      hint: 'That is how consumers subscribe; give the filter of the topics that are published',
    };
  }
  if (/^\$SYS(\/|$)/.test(filter)) {
    return { message: 'must not begin with $SYS/', hint: 'The broker’s own topics do not enter queues' };
  }
  return undefined;
}

/**
 * Two names for one setting. Given both, they must agree; in an update the one that only repeats the current value
 * yields, so that an object may be read, changed under either name, and written back.
 */
export function resolveLimits(
  input: LimitsInput,
  current: QueueLimits | undefined,
): { limits: Partial<QueueLimits>; problems: FieldProblem[] } {
  const limits: Partial<QueueLimits> = {};
  const problems: FieldProblem[] = [];
  for (const [ours, theirs, part] of [
    ['max_message_count', 'max_shard_message_count', 'countMax'],
    ['max_message_bytes', 'max_shard_message_bytes', 'bytesMax'],
  ] as const) {
    const [a, b] = [input[ours], input[theirs]];
    if (a === undefined && b === undefined) continue;
    if (a !== undefined && b !== undefined && a !== b && a !== current?.[part] && b !== current?.[part]) {
      problems.push({
        path: `limits.${ours}`,
        message: `and "limits.${theirs}" are two names of one setting and must not differ`,
        hint: 'Give only one of them',
      });
      continue;
    }
    const changed = b !== undefined && (a === undefined || a === current?.[part]) ? b : a;
    if (changed !== undefined) limits[part] = changed;
  }
  if (input.overflow !== undefined) limits.overflow = input.overflow;
  return { limits, problems };
}
