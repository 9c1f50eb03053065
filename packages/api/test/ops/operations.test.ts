import { connect } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import { createFixture, listen, NOW_MS } from '../api-fixture.ts';
import { MemoryQueueManagement } from '../memory-queue-management.ts';

describe('health', () => {
  const failing = {
    ok: false,
    checks: [{ name: 'partitions', ok: false, reason: '3 of 16 have no leader', sinceMs: NOW_MS }],
  };
  const passing = { ok: true, checks: [] };
  const { call } = createFixture({ health: { live: () => passing, ready: () => failing } });

  it('tells life from readiness, with reasons', async () => {
    for (const path of ['/healthz', '/livez'])
      expect(await call('GET', path)).toMatchObject({ status: 200, body: { status: 'ok', checks: [] } });
    expect(await call('GET', '/readyz')).toMatchObject({
      status: 503,
      body: {
        status: 'failing',
        checks: [
          { name: 'partitions', ok: false, reason: '3 of 16 have no leader', since: new Date(NOW_MS).toISOString() },
        ],
      },
    });
    expect((await call('HEAD', '/healthz')).status).toBe(200);
  });

  it('shows in the status line', async () => {
    expect(await call('GET', '/api/v5/status')).toMatchObject({
      status: 503,
      text: 'Node sluice@n1 is starting\nsluice is not running',
    });
    expect((await call('GET', '/api/v5/status?format=json')).body).toEqual({
      node_name: 'sluice@n1',
      rel_vsn: '1.2.3',
      broker_status: 'starting',
      app_status: 'not_running',
    });
  });
});

it('status, nodes and metrics of a node that serves', async () => {
  const { call } = createFixture();
  expect(await call('GET', '/api/v5/status')).toMatchObject({
    status: 200,
    text: 'Node sluice@n1 is started\nsluice is running',
  });
  expect((await call('GET', '/api/v5/nodes')).body).toEqual([
    { node: 'sluice@n1', node_status: 'running', version: '1.2.3', uptime: 5_000, connections: 7, roles: ['gateway'] },
  ]);
  const metrics = await call('GET', '/metrics');
  expect([metrics.status, metrics.headers['content-type']]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8']);
  expect(metrics.text).toContain('sluice_up 1');
});

describe('what is not there', () => {
  const { call } = createFixture();

  it.each([
    ['GET', '/api/v5/message_queue/queues', '/api/v5/message_queues/queues'],
    ['GET', '/api/v5/message_queues', undefined],
    ['GET', '/api/v5/message_queues/queues/a/b', undefined],
    ['POST', '/metric', '/metrics'],
    ['GET', '/favicon.ico', undefined],
  ])('%s %s is 404 as JSON', async (method, path, meant) => {
    const answer = await call(method, path);
    expect(answer).toMatchObject({ status: 404, body: { code: 'NOT_FOUND', message: `There is nothing at ${path}` } });
    if (meant !== undefined) expect(answer.body.hint).toContain(`Did you mean ${meant}?`);
  });

  it.each(['publish', 'login', 'clients'])('nothing is like %s, however a path begins or ends', async (path) => {
    const { hint } = (await call('GET', `/api/v5/${path}`)).body;
    expect(hint).toBe('All paths are listed at /api/v5/docs');
  });

  it.each([
    ['PATCH', '/api/v5/queue/q', 'GET, HEAD, PUT, DELETE'],
    ['DELETE', '/api/v5/queues', 'GET, HEAD, POST'],
    ['GET', '/api/v5/queue/q/purge', 'POST'],
    ['POST', '/healthz', 'GET, HEAD'],
    ['OPTIONS', '/api/v5/queues', 'GET, HEAD, POST'],
  ])('%s %s is 405 and says what is possible', async (method, path, allow) => {
    const answer = await call(method, path);
    expect([answer.status, answer.body.code, answer.headers.allow]).toEqual([405, 'METHOD_NOT_ALLOWED', allow]);
  });

  it('a path that is no URL is 400', async () => {
    expect(await call('GET', '/api/v5/queue/%zz')).toMatchObject({ status: 400, body: { code: 'BAD_REQUEST' } });
  });
});

it('what breaks inside is 500, logged, and not shown', async () => {
  const lines: Record<string, unknown>[] = [];
  const log = (fields: Record<string, unknown>) => void lines.push(fields);
  const logger = { debug: log, info: log, warn: log, error: log, child: () => logger };
  class Broken extends MemoryQueueManagement {
    override async list(): Promise<never> {
      throw new Error('password=hunter2');
    }
  }
  const { call } = createFixture({ queues: new Broken(), logger });
  const answer = await call('GET', '/api/v5/queues');
  expect([answer.status, answer.body.code]).toEqual([500, 'INTERNAL_ERROR']);
  expect(answer.text).not.toContain('hunter2');
  expect(lines.some(({ err }) => (err as Error | undefined)?.message === 'password=hunter2')).toBe(true);
});

it('bytes that are no HTTP are answered and closed', async () => {
  const { api } = createFixture();
  const port = await listen(api);
  const text = await new Promise<string>((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.end('\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00'));
    let all = '';
    socket.on('data', (chunk) => {
      all += chunk.toString();
    });
    socket.on('close', () => resolve(all));
    socket.on('error', reject);
  });
  expect(text).toMatch(/^HTTP\/1\.1 400 /);
});

it('the first requests wait for the routes together, each is answered once', async () => {
  const { call } = createFixture();
  const answers = await Promise.all(Array.from({ length: 20 }, () => call('GET', '/api/v5/queues')));
  expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200));
});

it('closing answers what has begun, and does not wait for connections that are kept alive', async () => {
  let entered = () => {};
  let release = () => {};
  const begun = new Promise<void>((resolve) => {
    entered = resolve;
  });
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  class Slow extends MemoryQueueManagement {
    override async list(...list: Parameters<MemoryQueueManagement['list']>) {
      entered();
      await released;
      return super.list(...list);
    }
  }
  const { api } = createFixture({ queues: new Slow() });
  const { port } = await api.listen({ host: '127.0.0.1', port: 0 });
  const answer = new Promise<string>((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () =>
      socket.write('GET /api/v5/queues HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'),
    );
    let all = '';
    socket.on('data', (chunk) => {
      all += chunk.toString();
    });
    socket.on('close', () => resolve(all));
    socket.on('error', reject);
  });
  await begun;
  const closed = api.close();
  release();
  expect(await answer).toMatch(/^HTTP\/1\.1 200 /);
  await closed;
});

it('closing before anybody asked anything loads nothing and ends', async () => {
  const { api } = createFixture();
  await api.listen({ host: '127.0.0.1', port: 0 });
  await api.close();
});
