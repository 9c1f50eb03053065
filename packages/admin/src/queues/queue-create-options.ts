import type { Command } from 'commander';
import { CliFailure, EXIT } from '../cli-failure.ts';

/** Options of `create` and `update` have the names of the REST fields; their values go to the server as they are, which judges them. */
interface FieldOption {
  flags: string;
  field: string;
  description: string;
  /** Which JSON type a text of digits becomes. */
  digits: 'number' | 'text';
  inLimits?: true;
  /** Makes the queue the one it is. */
  isFixed?: true;
}

const FIELD_OPTIONS: readonly FieldOption[] = [
  {
    flags: '-f, --topic-filter <FILTER>',
    field: 'topic_filter',
    digits: 'text',
    isFixed: true,
    description: 'what is published to matching topics enters the queue (required)',
  },
  {
    flags: '--key-expression <EXPRESSION>',
    field: 'key_expression',
    digits: 'text',
    description: 'last-value queues: computes the key (default: message.from)',
  },
  {
    flags: '--dispatch-strategy <STRATEGY>',
    field: 'dispatch_strategy',
    digits: 'text',
    description: 'random, round_robin or least_inflight (default: random)',
  },
  {
    flags: '--data-retention-period <DURATION>',
    field: 'data_retention_period',
    digits: 'text',
    description: 'older messages leave undelivered (default: 7d)',
  },
  {
    flags: '--lag-objective <DURATION>',
    field: 'lag_objective',
    digits: 'text',
    description: 'how old a message may become before consumers are too slow (default: queues.lagObjective)',
  },
  {
    flags: '--max-message-count <COUNT>',
    field: 'max_message_count',
    digits: 'number',
    inLimits: true,
    description: 'most messages per partition (default: infinity)',
  },
  {
    flags: '--max-message-bytes <SIZE>',
    field: 'max_message_bytes',
    digits: 'text',
    inLimits: true,
    description: 'most bytes per partition, for example 100MB (default: infinity)',
  },
  {
    flags: '--overflow <POLICY>',
    field: 'overflow',
    digits: 'text',
    inLimits: true,
    description: 'refuse or drop_oldest (default: refuse)',
  },
  {
    flags: '--local-max-inflight <COUNT>',
    field: 'local_max_inflight',
    digits: 'number',
    description: 'most unacknowledged messages per consumer (default: 10)',
  },
  {
    flags: '--redispatch-interval <DURATION>',
    field: 'redispatch_interval',
    digits: 'text',
    description: 'wait of a rejected message nobody else can take (default: 100ms)',
  },
  {
    flags: '--partitions <COUNT>',
    field: 'partitions',
    digits: 'number',
    isFixed: true,
    description: 'partitions the queue spreads over (default: 1)',
  },
];

export function addCreateOptions(command: Command): Command {
  for (const { flags, description } of FIELD_OPTIONS) command.option(flags, description);
  return command
    .option('--regular', 'every message is kept until a consumer has acknowledged it')
    .option('--last-value', 'only the newest message of each key is kept');
}

/** @throws CliFailure when the kind is not said: the API's default surprises those who want a work queue. */
export function createBody(
  name: string | undefined,
  options: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  if ((options.regular === true) === (options.lastValue === true)) {
    throw new CliFailure(
      EXIT.usage,
      'Say which kind of queue: --regular or --last-value',
      'A regular queue keeps every message until it is acknowledged, a last-value queue the newest of each key',
    );
  }
  if (options.topicFilter === undefined) {
    throw new CliFailure(EXIT.usage, 'The queue needs a topic filter', 'For example: --topic-filter "orders/#"');
  }
  const body = { ...(name === undefined ? {} : { name }), ...fieldsOf(options) };
  return { ...body, is_lastvalue: options.lastValue === true };
}

export function addUpdateOptions(command: Command): Command {
  for (const { flags, description, isFixed } of FIELD_OPTIONS) {
    // The defaults are those of a queue to be: here, what is not given stays.
    if (isFixed !== true) command.option(flags, description.replace(/ \(default: .*\)$/, ''));
  }
  return command;
}

/** @throws CliFailure when there is nothing to change. */
export function updateBody(options: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const body = fieldsOf(options);
  if (Object.keys(body).length > 0) return body;
  throw new CliFailure(EXIT.usage, 'Say what to change', 'For example: --lag-objective 30s');
}

function fieldsOf(options: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const body: Record<string, unknown> = {};
  const limits: Record<string, unknown> = {};
  for (const { field, digits, inLimits } of FIELD_OPTIONS) {
    const text = options[camelCase(field)];
    if (typeof text !== 'string') continue;
    const value = digits === 'number' && /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text;
    if (inLimits) limits[field] = value;
    else body[field] = value;
  }
  if (Object.keys(limits).length > 0) body.limits = limits;
  return body;
}

function camelCase(field: string): string {
  return field.replace(/_(\w)/g, (_all, letter: string) => letter.toUpperCase());
}
