import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { BrokerUnderAttack } from './broker-under-attack.ts';

const QUEUES = '/api/v5/message_queues/queues';
const CONFIG = '/api/v5/message_queues/config';
const AUTHORIZATION = `Basic ${btoa('harness:harness-secret')}`;

let broker: BrokerUnderAttack;
beforeAll(async () => {
  broker = await BrokerUnderAttack.start();
});
afterEach(() => broker.stillServes());
afterAll(() => broker?.dispose());

/** What an answer that refuses looks like; nothing of the server's inside in it. */
function expectRefusal(answer: { status: number; body: unknown }, status: number, part: string): void {
  expect([answer.status, answer.body]).toEqual([
    status,
    expect.objectContaining({ code: expect.any(String), message: expect.stringContaining(part) }),
  ]);
  expect(JSON.stringify(answer.body)).not.toMatch(/\bat .*:\d+:\d+|node_modules|\.ts\b|\.js\b/);
}

/** Values that are wrong for a kind of field. */
const NOT_A_TEXT = [5, true, null, [], {}];
const NOT_A_BOOLEAN = [0, 'true', null, [], {}];
const NOT_A_COUNT = [0, -1, 1.5, 1e300, '10', true, null, [], {}];
const NOT_A_DURATION = [0, -1, 1.5, '10', '1 parsec', '-1s', '99999999d', '', true, null, [], {}];
const NOT_A_CHOICE = ['fair', '', 'RANDOM', 0, true, null, [], {}, 'constructor'];
const NOT_A_LIMIT = [0, -1, 1.5, '', 'unlimited', '10XB', true, null, [], {}];

const FIELDS: [field: string, wrong: unknown[]][] = [
  ['name', [...NOT_A_TEXT, '', '-a', 'a/b', 'ü', 'a\n', '../x', 'n'.repeat(256), '/other', '%2F', '$q', '__proto__']],
  [
    'topic_filter',
    [
      ...NOT_A_TEXT,
      '',
      'a/#/b',
      'a+',
      '$q/x',
      '$queue/x',
      '$share/g/x',
      '$SYS/#',
      'a\u0000',
      '\ud800',
      'x'.repeat(65_536),
      '/'.repeat(65_000),
    ],
  ],
  ['is_lastvalue', NOT_A_BOOLEAN],
  [
    'key_expression',
    [
      ...NOT_A_TEXT,
      '',
      'f(',
      'nothing.known',
      "regex_match(message.topic, '(a')",
      'x'.repeat(4_097),
      `${'lower('.repeat(100)}message.topic${')'.repeat(100)}`,
    ],
  ],
  ['dispatch_strategy', NOT_A_CHOICE],
  ['data_retention_period', NOT_A_DURATION],
  ['redispatch_interval', NOT_A_DURATION],
  ['consumer_max_inactive', NOT_A_DURATION],
  ['ping_interval', NOT_A_DURATION],
  ['busy_session_retry_interval', NOT_A_DURATION],
  ['consumer_persistence_interval', NOT_A_DURATION],
  ['local_max_inflight', NOT_A_COUNT],
  ['stream_max_buffer_size', NOT_A_COUNT],
  ['stream_max_unacked', NOT_A_COUNT],
  ['partitions', NOT_A_COUNT],
  ['limits', [5, 'x', true, null, []]],
  ['limits.max_message_count', [...NOT_A_LIMIT, '5']],
  ['limits.max_shard_message_count', [...NOT_A_LIMIT, '5']],
  ['limits.max_message_bytes', NOT_A_LIMIT],
  ['limits.max_shard_message_bytes', NOT_A_LIMIT],
  ['limits.overflow', NOT_A_CHOICE],
  ['limits.nothing', [1]],
  ['nothing', [1]],
];

const bodyWith = (field: string, value: unknown): Record<string, unknown> => {
  const [first, second] = field.split('.') as [string, string | undefined];
  return { topic_filter: 'wrong', [first]: second === undefined ? value : { [second]: value } };
};

describe('every field of a queue, wrong in every way, is a 400 that names it', () => {
  test.each(FIELDS)('POST: %s', async (field, wrong) => {
    for (const value of wrong) expectRefusal(await broker.rest.post(QUEUES, bodyWith(field, value)), 400, `"${field}"`);
    expect((await broker.rest.get(QUEUES)).body).toMatchObject({ data: [{ topic_filter: 'alive' }] });
  });

  test.each(FIELDS)('PUT: %s', async (field, wrong) => {
    const path = `${QUEUES}/${encodeURIComponent('/alive')}`;
    const before = (await broker.rest.get(path)).body;
    for (const value of wrong) {
      const { topic_filter: _, ...body } = bodyWith(field, value);
      if (field === 'topic_filter') body.topic_filter = value;
      expectRefusal(await broker.rest.put(path, body), 400, `"${field}"`);
    }
    expect((await broker.rest.get(path)).body).toEqual(before);
  });
});

describe('every field of the configuration, wrong in every way, is a 400 that names it', () => {
  test.each<[string, unknown[]]>([
    ['enable', ['yes', 1, null, [], {}]],
    ['max_queue_count', NOT_A_COUNT],
    ['gc_interval', NOT_A_DURATION],
    ['regular_queue_retention_period', NOT_A_DURATION],
    ['find_queue_retry_interval', NOT_A_DURATION],
    ['auto_create', [1, 'x', true, null, [], { other: {} }, { regular: {}, lastvalue: {} }, { regular: { wrong: 1 } }]],
    ['auto_create', [{ regular: { key_expression: 'message.from' } }, { lastvalue: { dispatch_strategy: 'x' } }]],
    ['nothing', [1]],
    ['__proto__x', [1]],
  ])('%s', async (field, wrong) => {
    const before = (await broker.rest.get(CONFIG)).body;
    for (const value of wrong) {
      const answer = await broker.rest.put(CONFIG, { [field]: value });
      expectRefusal(answer, 400, field === 'auto_create' ? '' : `"${field}"`);
    }
    expect((await broker.rest.get(CONFIG)).body).toEqual(before);
  });
});

describe('bodies', () => {
  const post = async (body: string | Buffer, headers: Record<string, string> = {}) => {
    const { host, port } = broker.server.address('http');
    const all = { 'content-type': 'application/json', authorization: AUTHORIZATION, ...headers };
    const response = await fetch(`http://${host}:${port}${QUEUES}`, { method: 'POST', headers: all, body });
    const text = await response.text();
    return { status: response.status, body: text === '' ? undefined : (JSON.parse(text) as unknown) };
  };

  test.each<[string, string | Buffer, number]>([
    ['nothing', '', 400],
    ['half a JSON', '{"topic_filter": "t"', 400],
    ['a list', '[]', 400],
    ['null', 'null', 400],
    ['a number', '1', 400],
    ['single quotes', "{'topic_filter': 't'}", 400],
    ['bytes that are not UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), 400],
    ['UTF-16', Buffer.from('{"topic_filter":"t"}', 'utf16le'), 400],
    ['half a million brackets', '['.repeat(500_000) + ']'.repeat(500_000), 400],
    ['a hundred thousand objects in each other', `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`, 400],
    [
      'sixty thousand unknown fields',
      JSON.stringify(Object.fromEntries(Array.from({ length: 60_000 }, (_, i) => [`f${i}`, i]))),
      400,
    ],
    ['2 MB', JSON.stringify({ topic_filter: 'x'.repeat(2_000_000) }), 413],
  ])('%s', async (_name, body, status) => {
    const answer = await post(body);
    expectRefusal(answer, status, '');
    expect(JSON.stringify(answer.body).length).toBeLessThan(5_000);
  });

  test.each([
    'text/plain',
    'application/xml',
    'multipart/form-data; boundary=x',
    'application/json/x',
    'a'.repeat(500),
  ])('of the type %s', async (type) => {
    expectRefusal(await post('{"topic_filter":"t"}', { 'content-type': type }), 415, 'application/json');
  });
});

/** Bytes as they are; what came back until the server closed. */
async function raw(bytes: string | Buffer, withinMs = 3_000): Promise<string> {
  const { host, port } = broker.server.address('http');
  return await new Promise((resolve) => {
    const socket = connect(port, host, () => socket.write(bytes));
    let answer = '';
    socket.setTimeout(withinMs, () => socket.destroy());
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1');
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(answer));
  });
}

const head = (method: string, path: string, ...headers: string[]): string =>
  [
    `${method} ${path} HTTP/1.1`,
    'host: localhost',
    `authorization: ${AUTHORIZATION}`,
    'connection: close',
    ...headers,
    '',
    '',
  ].join('\r\n');

const statusesOf = (answer: string): number[] =>
  [...answer.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map((match) => Number(match[1]));

describe('requests', () => {
  test.each<[string, string]>([
    [
      'two lengths',
      `${head('POST', QUEUES, 'content-type: application/json', 'content-length: 2', 'content-length: 40')}{}`,
    ],
    [
      'a length and chunks',
      `${head('POST', QUEUES, 'content-type: application/json', 'content-length: 4', 'transfer-encoding: chunked')}0\r\n\r\n`,
    ],
    ['chunks and something else', `${head('POST', QUEUES, 'transfer-encoding: chunked, identity')}0\r\n\r\n`],
    ['a length that is no number', `${head('POST', QUEUES, 'content-length: 0x10')}{}`],
    ['a negative length', `${head('POST', QUEUES, 'content-length: -1')}{}`],
    ['a space before the colon', head('GET', QUEUES, 'content-length : 5')],
    ['a folded header', head('GET', QUEUES, 'x: a', ' b')],
    ['a line feed alone', head('GET', QUEUES).replaceAll('\r\n', '\n')],
    ['a header with a NUL', head('GET', QUEUES, 'x: a\0b')],
    ['headers of 100 KB', head('GET', QUEUES, ...Array.from({ length: 100 }, (_, i) => `x${i}: ${'y'.repeat(1_000)}`))],
    ['a path of 100 KB', head('GET', `/${'a'.repeat(100_000)}`)],
    ['another protocol', 'SSH-2.0-OpenSSH_9.0\r\n\r\n'],
    [
      'a chunk size that overflows',
      `${head('POST', QUEUES, 'content-type: application/json', 'transfer-encoding: chunked')}fffffffffffffffff\r\n{}`,
    ],
  ])('%s: refused, and nothing behind it is taken for a request', async (_name, bytes) => {
    const smuggled = head('DELETE', `${QUEUES}/${encodeURIComponent('/alive')}`);
    for (const status of statusesOf(await raw(`${bytes}${smuggled}`))) expect(status).toBeGreaterThanOrEqual(400);
    expect((await broker.rest.get(`${QUEUES}/${encodeURIComponent('/alive')}`)).status).toBe(200);
  });

  test('no host: refused', async () => {
    expect(statusesOf(await raw('GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n'))).toEqual([400]);
  });

  test('2,000 headers: refused or answered, and the rest not read as another request', async () => {
    const statuses = statusesOf(await raw(head('GET', QUEUES, ...Array.from({ length: 2_000 }, (_, i) => `x${i}: y`))));
    expect(statuses).toHaveLength(1);
  });

  test.each([
    '/api/v5/message_queues/queues/../../../../etc/passwd',
    '/api/v5/docs/../../../../../etc/passwd',
    '/api/v5/docs/..%2f..%2f..%2fetc%2fpasswd',
    '/api/v5/docs/%2e%2e/%2e%2e/etc/passwd',
    '/api/v5/docs/..%5c..%5cetc',
    '/api/v5/message_queues/queues/%2e%2e%2fconfig',
    '//etc/passwd',
    '/api/v5/message_queues/queues/a%00b',
    '/api/v5/message_queues/queues/%252Falive',
    '/API/V5/MESSAGE_QUEUES/QUEUES',
    '/api/v5/message_queues//queues',
  ])('a path that climbs or hides, %s, leads nowhere', async (path) => {
    const [status] = statusesOf(await raw(head('GET', path)));
    expect([400, 404]).toContain(status);
  });

  test.each(['%', '%zz', '%c3%28', '%ff', '%ed%a0%80'])('percent-encoding that is none, %s', async (encoded) => {
    const [status] = statusesOf(await raw(head('GET', `${QUEUES}/${encoded}`)));
    expect([400, 404]).toContain(status);
  });

  test.each(['PATCH', 'TRACE', 'CONNECT', 'PROPFIND', 'OPTIONS', 'BREW', 'DELETE'])('the method %s', async (method) => {
    for (const path of [QUEUES, '/metrics', '/healthz', CONFIG]) {
      for (const status of statusesOf(await raw(head(method, path)))) expect([400, 404, 405]).toContain(status);
    }
  });

  test.each([
    ['limit=0', '"limit"'],
    ['limit=-1', '"limit"'],
    ['limit=10001', '"limit"'],
    ['limit=x', '"limit"'],
    ['limit=5&limit=6', '"limit"'],
    ['cursor=nonsense', 'ursor'],
    [`cursor=${'A'.repeat(500)}`, 'ursor'],
  ])('the query %s', async (query, part) => {
    expectRefusal(await broker.rest.get(`${QUEUES}?${query}`), 400, part);
  });

  test('B30: fifty bodies a byte at a time hold up nobody else', async () => {
    const { host, port } = broker.server.address('http');
    const sockets = Array.from({ length: 50 }, () => {
      const socket = connect(port, host);
      socket.on('error', () => {});
      socket.write(head('POST', QUEUES, 'content-type: application/json', 'content-length: 1000000'));
      return socket;
    });
    const timer = setInterval(() => {
      for (const socket of sockets) socket.write(' ');
    }, 20);
    for (let i = 0; i < 20; i++) expect((await broker.rest.get(QUEUES)).status).toBe(200);
    clearInterval(timer);
    for (const socket of sockets) socket.destroy();
  });
});

test('B36: markup in names and payloads stays text, for whoever shows it', async () => {
  const markup = '<img src=x onerror=alert(1)>';
  const created = await broker.rest.post(QUEUES, { topic_filter: markup, is_lastvalue: false });
  expect(created.status).toBe(200);
  for (const path of [
    QUEUES,
    `${QUEUES}/${encodeURIComponent(`/${markup}`)}`,
    `${QUEUES}/${encodeURIComponent(markup)}`,
    `/${markup}`,
    `/api/v5/docs?${markup}`,
  ]) {
    const { headers, body } = await broker.rest.get(path);
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    if (headers.get('content-type')?.startsWith('text/html') === true) expect(String(body)).not.toContain(markup);
    else expect(headers.get('content-type')).toMatch(/^application\/json/);
  }
  await broker.rest.delete(`${QUEUES}/${encodeURIComponent(`/${markup}`)}`);
});
