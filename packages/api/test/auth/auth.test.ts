import { describe, expect, it } from '@jest/globals';
import { parseApiKeyFile } from '../../src/auth/api-key-file.ts';
import { createFixture } from '../api-fixture.ts';

const QUEUES = '/api/v5/message_queues/queues';
const basic = (pair: string) => ({ authorization: `Basic ${Buffer.from(pair).toString('base64')}` });

function keys(text: string) {
  const parsed = parseApiKeyFile(text);
  if (!parsed.ok) throw new Error('bad file');
  return parsed.keys;
}

const KEYS = keys(
  'admin:s3cret\nview:er:viewer\npub:lish:publisher\nscoped:one:administrator:connections,audit\nother:two:administrator:audit\n',
);

describe('with keys', () => {
  const { call } = createFixture({ keys: KEYS });

  it.each<[string, Record<string, string>, number, string]>([
    ['nothing', {}, 401, 'AUTHORIZATION_HEADER_ERROR'],
    ['another scheme', { authorization: 'Digest x' }, 401, 'AUTHORIZATION_HEADER_ERROR'],
    ['no value', { authorization: 'Basic' }, 401, 'AUTHORIZATION_HEADER_ERROR'],
    ['a token', { authorization: 'Bearer abc' }, 401, 'BAD_TOKEN'],
    ['an unknown key', basic('nobody:s3cret'), 401, 'BAD_API_KEY_OR_SECRET'],
    ['a wrong secret', basic('admin:secret'), 401, 'BAD_API_KEY_OR_SECRET'],
    ['a secret too long', basic('admin:s3crets3cret'), 401, 'BAD_API_KEY_OR_SECRET'],
    ['no secret', basic('admin'), 401, 'BAD_API_KEY_OR_SECRET'],
    ['not base64', { authorization: 'Basic !!!' }, 401, 'BAD_API_KEY_OR_SECRET'],
  ])('refuses %s', async (_name, headers, status, code) => {
    const answer = await call('GET', QUEUES, undefined, headers);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
    expect(answer.headers['www-authenticate']).toBe('Basic realm="Sluice"');
    expect(answer.text).not.toContain('s3cret');
  });

  it.each([
    ['admin:s3cret', 200, 200],
    ['view:er', 200, 403],
    ['pub:lish', 403, 403],
    ['scoped:one', 200, 200],
    ['other:two', 403, 403],
  ])('%s reads with %d and writes with %d', async (pair, reads, writes) => {
    const name = `q-${pair.replace(':', '-')}`;
    const got = await call('GET', QUEUES, undefined, basic(pair));
    expect(got.status).toBe(reads);
    const created = await call('POST', QUEUES, { name, topic_filter: 't' }, basic(pair));
    expect(created.status).toBe(writes);
    for (const answer of [got, created]) if (answer.status === 403) expect(answer.body.code).toBe('UNAUTHORIZED_ROLE');
  });

  it('refuses before it reads the body', async () => {
    expect((await call('POST', QUEUES, '{nonsense')).status).toBe(401);
  });

  it('a page of another site may not change anything with the key that a browser keeps', async () => {
    await call('POST', QUEUES, { name: 'q', topic_filter: 't' }, basic('admin:s3cret'));
    const purge = (headers: Record<string, string>) =>
      call('POST', `${QUEUES}/q/purge`, undefined, { ...basic('admin:s3cret'), host: 'broker:18083', ...headers });
    const foreign: Record<string, string>[] = [
      { origin: 'http://evil.example' },
      { origin: 'null' },
      { origin: 'http://broker:8080' },
      { origin: 'http://broker:18083', 'sec-fetch-site': 'cross-site' },
      { origin: 'http://sub.broker', 'sec-fetch-site': 'same-site' },
    ];
    for (const headers of foreign) {
      expect(await purge(headers)).toMatchObject({ status: 403, body: { code: 'FORBIDDEN_ORIGIN' } });
    }
    const own: Record<string, string>[] = [
      {},
      { origin: 'http://broker:18083' },
      { origin: 'https://broker:18083' },
      { origin: 'https://front.example', 'sec-fetch-site': 'same-origin' },
      { 'sec-fetch-site': 'none' },
    ];
    for (const headers of own) expect((await purge(headers)).status).toBe(200);
    const read = await call('GET', QUEUES, undefined, { ...basic('view:er'), origin: 'http://evil.example' });
    expect([read.status, read.headers['access-control-allow-origin']]).toEqual([200, undefined]);
  });

  it('protects every call but health, metrics and the document', async () => {
    const document = (await call('GET', '/api/v5/openapi.json')).body;
    const open: string[] = [];
    for (const [path, methods] of Object.entries<Record<string, unknown>>(document.paths)) {
      for (const method of Object.keys(methods)) {
        const { status } = await call(method.toUpperCase(), path.replace('{name}', 'q'));
        if (status !== 401) open.push(`${method} ${path}`);
      }
    }
    expect(open).toEqual(['get /healthz', 'get /readyz', 'get /metrics']);
    for (const path of ['/livez', '/api/v5/docs', '/api/v5/docs/style.css', '/api/v5/docs/script.js']) {
      expect((await call('GET', path)).status).toBe(200);
    }
  });
});

describe('without keys', () => {
  it('everybody on this machine may', async () => {
    const { call } = createFixture();
    expect((await call('POST', QUEUES, { topic_filter: 't' })).status).toBe(200);
    expect((await call('GET', QUEUES, undefined, basic('left:over'))).status).toBe(200);
  });

  it('nobody may where that was not said', async () => {
    const { call } = createFixture({ anonymous: false });
    expect((await call('GET', QUEUES)).status).toBe(401);
    expect((await call('GET', QUEUES, undefined, basic(':'))).status).toBe(401);
  });

  it('a web page of another origin may not, nor one whose name was made to point here', async () => {
    const { call } = createFixture();
    const evil = { origin: 'http://evil.example' };
    expect(await call('POST', `${QUEUES}/q/purge`, undefined, evil)).toMatchObject({
      status: 403,
      body: { code: 'FORBIDDEN_ORIGIN' },
    });
    expect(await call('GET', QUEUES, undefined, { host: 'evil.example:18083' })).toMatchObject({
      status: 403,
      body: { code: 'FORBIDDEN_HOST' },
    });
    for (const host of ['localhost:18083', '127.0.0.1', '[::1]:18083', 'LOCALHOST']) {
      expect((await call('GET', QUEUES, undefined, { host, origin: `http://${host}` })).status).toBe(200);
    }
  });
});

it('a key in words beside anonymous access is still checked', async () => {
  const { call } = createFixture({ keys: KEYS, anonymous: true });
  expect((await call('GET', QUEUES)).status).toBe(200);
  expect((await call('GET', QUEUES, undefined, basic('admin:wrong'))).status).toBe(401);
  expect((await call('POST', QUEUES, { topic_filter: 't' }, basic('view:er'))).status).toBe(403);
});
