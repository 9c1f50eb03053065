import { describe, expect, it } from '@jest/globals';
import { createFixture } from '../api-fixture.ts';

const QUEUES = '/api/v5/message_queues/queues';
const DURATIONS = [
  'data_retention_period',
  'redispatch_interval',
  'consumer_max_inactive',
  'ping_interval',
  'busy_session_retry_interval',
  'consumer_persistence_interval',
];
const COUNTS = ['local_max_inflight', 'stream_max_buffer_size', 'stream_max_unacked', 'partitions'];
const COUNT_LIMITS = ['max_shard_message_count', 'max_message_count'];
const SIZE_LIMITS = ['max_shard_message_bytes', 'max_message_bytes'];

/** Body besides a filter, and what the message says. */
const WRONG: [body: Record<string, unknown>, message: string, hint?: string][] = [
  // Identity
  [
    { topic_filter: undefined },
    '"topic_filter" is required',
    'For example: {"name": "orders", "topic_filter": "orders/#"}',
  ],
  [{ topic_filter: 5 }, '"topic_filter" must be a text, not 5'],
  [{ topic_filter: '' }, '"topic_filter" must not be empty'],
  [{ topic_filter: null }, '"topic_filter" must be a text, not null'],
  [{ topic_filter: 'a/#/b' }, '"topic_filter" is not a valid topic filter: # is the last level'],
  [{ topic_filter: 'a+/b' }, '"topic_filter" is not a valid topic filter: + is alone in its level'],
  [{ topic_filter: 'a\u0000' }, '"topic_filter" is not a valid topic filter'],
  [{ topic_filter: '\ud800' }, '"topic_filter" is not a valid topic filter'],
  [{ topic_filter: 'x'.repeat(65_536) }, '"topic_filter" is longer than 65535 characters'],
  [
    { topic_filter: '$q/a' },
    '"topic_filter" must not begin with $q/',
    'That is how consumers subscribe; give the filter of the topics that are published',
  ],
  [{ topic_filter: '$queue/a/b' }, '"topic_filter" must not begin with $queue/'],
  [{ topic_filter: '$share/g/a' }, '"topic_filter" must not begin with $share/'],
  [{ topic_filter: '$SYS/#' }, '"topic_filter" must not begin with $SYS/'],
  [{ name: 5 }, '"name" must be a text, not 5'],
  [{ name: '' }, '"name" must not be empty'],
  [
    { name: '-a' },
    '"name" must match ^[0-9a-zA-Z][-.0-9a-zA-Z_]*$',
    'Use letters, digits, "-", "." and "_", beginning with a letter or digit',
  ],
  [{ name: 'a/b' }, '"name" must match'],
  [{ name: 'ü' }, '"name" must match'],
  [{ name: 'a\n' }, '"name" must match'],
  [{ name: '/other' }, '"name" must match', 'Leave "name" out to create a queue that is named after its filter'],
  [{ name: 'n'.repeat(256) }, '"name" is longer than 255 characters'],
  [{ is_lastvalue: 'true' }, '"is_lastvalue" must be true or false, not "true"'],
  [{ is_lastvalue: 1 }, '"is_lastvalue" must be true or false, not 1'],
  [{ created_at: '2020-01-01' }, '"created_at" is not a known field'],
  // Key expressions
  [{ key_expression: 5 }, '"key_expression" must be a text, not 5'],
  [{ key_expression: '' }, '"key_expression" must not be empty'],
  [
    { key_expression: 'concat([a' },
    '"key_expression" is not a valid expression: a parenthesis is not closed at 1:4',
    'Add a )',
  ],
  [{ key_expression: 'x'.repeat(4_097) }, '"key_expression" is longer than 4096 characters'],
  [{ key_expression: 'message.from', is_lastvalue: false }, '"key_expression" is allowed on last-value queues only'],
  // Choices
  [
    { dispatch_strategy: 'fair' },
    '"dispatch_strategy" must be one of "random", "round_robin", "least_inflight", not "fair"',
  ],
  [
    { dispatch_strategy: null },
    '"dispatch_strategy" must be one of "random", "round_robin", "least_inflight", not null',
  ],
  // Numbers of each kind
  ...DURATIONS.flatMap((field): typeof WRONG => [
    [{ [field]: '10' }, `"${field}" has no unit: write "10ms" or "10s"`],
    [{ [field]: '10 parsecs' }, `"${field}" must be a number with a unit (ms, s, m, h, d or w)`],
    [{ [field]: -1 }, `"${field}" must be a whole number of milliseconds that is not negative, not -1`],
    [{ [field]: 1.5 }, `"${field}" must be a whole number of milliseconds`],
    [{ [field]: '-1s' }, `"${field}" must not be negative (got "-1s")`],
    [{ [field]: 0 }, `"${field}" must be between 1ms and`],
    [{ [field]: '99999d' }, `"${field}" must be between 1ms and`],
    [{ [field]: true }, `"${field}" must be milliseconds or a number with a unit`],
    [{ [field]: null }, `"${field}" must be milliseconds or a number with a unit`],
  ]),
  ...COUNTS.flatMap((field): typeof WRONG => [
    [{ [field]: 0 }, `"${field}" must be a whole number between 1 and`],
    [{ [field]: 1.5 }, `"${field}" must be a whole number between 1 and`],
    [{ [field]: '10' }, `"${field}" must be a whole number between 1 and`],
    [{ [field]: 1e300 }, `"${field}" must be a whole number between 1 and`],
  ]),
  // Limits
  [{ limits: 5 }, '"limits" must be a JSON object, not 5'],
  [{ limits: [] }, '"limits" must be a JSON object, not []'],
  [
    { limits: { max_mesage_count: 5 } },
    '"limits.max_mesage_count" is not a known field',
    'Did you mean "max_message_count"?',
  ],
  [{ limits: { overflow: 'drop' } }, '"limits.overflow" must be one of "refuse", "drop_oldest", not "drop"'],
  [
    { limits: { max_message_count: 5, max_shard_message_count: 6 } },
    '"limits.max_message_count" and "limits.max_shard_message_count" are two names of one setting and must not differ',
  ],
  ...COUNT_LIMITS.flatMap((field): typeof WRONG =>
    [0, -5, 1.5, '5', 'unlimited', null].map((value) => [
      { limits: { [field]: value } },
      `"limits.${field}" must be a whole number of at least 1, or "infinity", not ${JSON.stringify(value)}`,
    ]),
  ),
  ...SIZE_LIMITS.flatMap((field): typeof WRONG =>
    [0, -5, 1.5, '0', '10XB', 'unlimited', null].map((value) => [
      { limits: { [field]: value } },
      `"limits.${field}" must be at least one byte: a number of bytes, or one with a unit (KB, MB, GB, TB; powers of 1024), for example "512KB" or "100MB"; or "infinity", not ${JSON.stringify(value)}`,
    ]),
  ),
  // Unknown fields
  [{ is_last_value: true }, '"is_last_value" is not a known field', 'Did you mean "is_lastvalue"?'],
  [{ topicFilter: 'x' }, '"topicFilter" is not a known field', 'Did you mean "topic_filter"?'],
  [{ retention: '7d' }, '"retention" is not a known field', 'Did you mean "data_retention_period"?'],
  [{ zebra: 1 }, '"zebra" is not a known field'],
  [{ constructor: 1 }, '"constructor" is not a known field'],
  [{ toString: 1 }, '"toString" is not a known field'],
];

describe('a wrong body is refused with the field and what is allowed', () => {
  const { call, queues } = createFixture();

  it.each(WRONG.map(([body, message, hint]) => [JSON.stringify(body).slice(0, 60), { body, message, hint }] as const))(
    '%s',
    async (_name, { body, message, hint }) => {
      const answer = await call('POST', QUEUES, { topic_filter: 't', ...body });
      expect([answer.status, answer.body.code]).toEqual([400, 'BAD_REQUEST']);
      expect(answer.body.message).toContain(message);
      if (hint !== undefined) expect(answer.body.hint).toContain(hint);
      expect(queues.queues.size).toBe(0);
    },
  );

  it('all mistakes are told at once, and not without end', async () => {
    const { body } = await call('POST', QUEUES, {
      topic_filter: 'a/#/b',
      local_max_inflight: 0,
      limits: { overflow: 1 },
    });
    expect(body.message.split('; ')).toHaveLength(3);
    const many = Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`x${i}`, 1]));
    expect((await call('POST', QUEUES, many)).text.length).toBeLessThan(5_000);
  });

  it('the same holds for changes, where the queue stays as it was', async () => {
    const { body: before } = await call('POST', QUEUES, { name: 'q', topic_filter: 't' });
    for (const [body, message] of WRONG) {
      if (
        Object.keys(body).some((field) =>
          ['name', 'topic_filter', 'partitions', 'created_at', 'is_lastvalue'].includes(field),
        )
      )
        continue;
      const answer = await call('PUT', `${QUEUES}/q`, body);
      if (answer.status === 200) throw new Error(`${JSON.stringify(body)} was accepted`);
      expect(answer.body.message).toContain(message.replace(/^.*two names.*$/, 'two names of one setting'));
    }
    expect((await call('GET', `${QUEUES}/q`)).body).toEqual(before);
  });
});

describe('what is not an object of JSON', () => {
  const { call } = createFixture();
  const post = (payload: string, headers: Record<string, string> = {}) => call('POST', QUEUES, payload, headers);

  it.each([
    ['', 'The body must be a JSON object, not empty'],
    ['[]', 'The body must be a JSON object, not []'],
    ['"x"', 'The body must be a JSON object, not "x"'],
    ['null', 'The body must be a JSON object, not null'],
    ['{"topic_filter": "t"', 'The body is not valid JSON: '],
    ["{'topic_filter': 't'}", 'The body is not valid JSON: '],
    ['{"topic_filter": "t",}', 'The body is not valid JSON: '],
    ['{"topic_filter": "t", "__proto__": {"name": "x"}}', '"__proto__" is not a known field'],
    ['['.repeat(500_000), 'The body has more than 32 objects or lists within each other'],
    [`{"topic_filter": "[[", "limits": ${'{"a":'.repeat(32)}`, 'The body has more than 32 objects or lists'],
    [
      `{"topic_filter": "${'['.repeat(100)}\\"${'{'.repeat(100)}", "limits": ${'['.repeat(20)}${']'.repeat(20)}}`,
      '"limits" must be',
    ],
  ])('%.60j', async (payload, message) => {
    const answer = await post(payload);
    expect([answer.status, answer.body.code]).toEqual([400, 'BAD_REQUEST']);
    expect(answer.body.message).toContain(message);
  });

  it.each(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'nonsense'])(
    'of the type %s',
    async (type) => {
      expect(await post('{"topic_filter":"t"}', { 'content-type': type })).toMatchObject({
        status: 415,
        body: { code: 'UNSUPPORTED_MEDIA_TYPE', message: `The body must be sent as "application/json", not "${type}"` },
      });
    },
  );

  it('with a charset is fine', async () => {
    expect((await post('{"topic_filter":"t"}', { 'content-type': 'application/json; charset=utf-8' })).status).toBe(
      200,
    );
  });

  it('of more than 1 MiB', async () => {
    expect(await post(JSON.stringify({ topic_filter: 'x'.repeat(1_048_576) }))).toMatchObject({
      status: 413,
      body: { code: 'BODY_TOO_LARGE', message: 'The body is larger than 1048576 bytes' },
    });
  });
});
