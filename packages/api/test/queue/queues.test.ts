import { describe, expect, it } from '@jest/globals';
import { refuse } from '@sluice/rpc/contract/queue-management';
import { createFixture, NOW_MS } from '../api-fixture.ts';

const QUEUES = '/api/v5/message_queues/queues';

describe('a queue with a name', () => {
  it('is created with every default, read, changed and deleted', async () => {
    const { call } = createFixture();
    const created = await call('POST', QUEUES, { name: 'orders', topic_filter: 'orders/#', is_lastvalue: false });
    const defaults = {
      name: 'orders',
      topic_filter: 'orders/#',
      is_lastvalue: false,
      data_retention_period: 604_800_000,
      dispatch_strategy: 'random',
      limits: {
        max_shard_message_count: 'infinity',
        max_shard_message_bytes: 'infinity',
        max_message_count: 'infinity',
        max_message_bytes: 'infinity',
        overflow: 'refuse',
      },
      local_max_inflight: 10,
      redispatch_interval: 100,
      lag_objective: 'default',
      consumer_max_inactive: 30_000,
      ping_interval: 10_000,
      busy_session_retry_interval: 100,
      stream_max_buffer_size: 2_000,
      stream_max_unacked: 1_000,
      consumer_persistence_interval: 10_000,
      partitions: 1,
      created_at: new Date(NOW_MS).toISOString(),
    };
    expect([created.status, created.body]).toEqual([200, defaults]);
    expect(await call('GET', `${QUEUES}/orders`)).toMatchObject({ status: 200, body: defaults });

    const changed = await call('PUT', `${QUEUES}/orders`, { dispatch_strategy: 'least_inflight' });
    expect([changed.status, changed.body]).toEqual([200, { ...defaults, dispatch_strategy: 'least_inflight' }]);
    expect((await call('PUT', `${QUEUES}/orders`, { lag_objective: '10s' })).body).toMatchObject({
      lag_objective: 10_000,
      dispatch_strategy: 'least_inflight',
    });
    expect((await call('PUT', `${QUEUES}/orders`, changed.body)).body).toEqual(changed.body);

    expect(await call('DELETE', `${QUEUES}/orders`)).toMatchObject({ status: 204, text: '' });
    expect(await call('GET', `${QUEUES}/orders`)).toMatchObject({
      status: 404,
      body: { code: 'NOT_FOUND', message: 'Message queue not found' },
    });
    expect((await call('DELETE', `${QUEUES}/orders`)).status).toBe(404);
    expect((await call('PUT', `${QUEUES}/orders`, {})).status).toBe(404);
  });

  it('takes every field there is, in human form', async () => {
    const { call } = createFixture();
    const { status, body } = await call('POST', QUEUES, {
      name: 'all',
      topic_filter: 'a/+/b',
      is_lastvalue: true,
      key_expression: 'message.topic',
      data_retention_period: '1h30m',
      dispatch_strategy: 'round_robin',
      limits: { max_shard_message_count: 5, max_shard_message_bytes: '100MB', overflow: 'drop_oldest' },
      local_max_inflight: 1,
      redispatch_interval: 250,
      lag_objective: '30s',
      consumer_max_inactive: '1m',
      ping_interval: '1s',
      busy_session_retry_interval: '5ms',
      stream_max_buffer_size: 10,
      stream_max_unacked: 5,
      consumer_persistence_interval: '2s',
      partitions: 3,
    });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      key_expression: 'message.topic',
      data_retention_period: 5_400_000,
      limits: {
        max_message_count: 5,
        max_message_bytes: 104_857_600,
        max_shard_message_bytes: 104_857_600,
        overflow: 'drop_oldest',
      },
      redispatch_interval: 250,
      lag_objective: 30_000,
      consumer_max_inactive: 60_000,
      ping_interval: 1_000,
      busy_session_retry_interval: 5,
      stream_max_buffer_size: 10,
      stream_max_unacked: 5,
      consumer_persistence_interval: 2_000,
      partitions: 3,
    });
  });

  it('is a last-value queue by the publisher unless told otherwise', async () => {
    const { call } = createFixture();
    expect((await call('POST', QUEUES, { name: 'lv', topic_filter: 't' })).body).toMatchObject({
      is_lastvalue: true,
      key_expression: 'message.from',
    });
  });

  it('exists once, and there is a most of them', async () => {
    const { call, queues } = createFixture();
    queues.settings = { ...queues.settings, queueCountMax: 1 };
    await call('POST', QUEUES, { name: 'q', topic_filter: 't' });
    expect(await call('POST', QUEUES, { name: 'q', topic_filter: 'u' })).toMatchObject({
      status: 400,
      body: { code: 'ALREADY_EXISTS', message: 'Message queue already exists' },
    });
    expect(await call('POST', QUEUES, { name: 'r', topic_filter: 'u' })).toMatchObject({
      status: 400,
      body: { code: 'MAX_QUEUE_COUNT_REACHED', message: 'Max queue count reached', hint: 'Raise max_queue_count' },
    });
  });
});

describe('a queue without a name', () => {
  it('is called after its filter, and answers to both', async () => {
    const { call } = createFixture();
    const created = await call('POST', QUEUES, { topic_filter: 'sensors/+/t', is_lastvalue: false });
    expect(created).toMatchObject({ status: 200, body: { name: '/sensors/+/t', topic_filter: 'sensors/+/t' } });
    for (const part of ['/sensors/+/t', 'sensors/+/t'].map(encodeURIComponent)) {
      expect((await call('GET', `${QUEUES}/${part}`)).body.topic_filter).toBe('sensors/+/t');
      expect((await call('PUT', `${QUEUES}/${part}`, { local_max_inflight: 3 })).body.local_max_inflight).toBe(3);
    }
    expect((await call('DELETE', `${QUEUES}/${encodeURIComponent('sensors/+/t')}`)).status).toBe(204);
    expect((await call('GET', `${QUEUES}/${encodeURIComponent('/sensors/+/t')}`)).status).toBe(404);
  });

  it('keeps apart the filters a and /a', async () => {
    const { call } = createFixture();
    await call('POST', QUEUES, { topic_filter: '/a' });
    expect((await call('GET', `${QUEUES}/${encodeURIComponent('/a')}`)).body.topic_filter).toBe('/a');
    await call('POST', QUEUES, { topic_filter: 'a' });
    expect((await call('GET', `${QUEUES}/a`)).body.topic_filter).toBe('a');
    expect((await call('GET', `${QUEUES}/${encodeURIComponent('//a')}`)).body.topic_filter).toBe('/a');
  });

  it('may be written back under the name it was given', async () => {
    const { call } = createFixture();
    expect(await call('POST', QUEUES, { name: '/t/1', topic_filter: 't/1' })).toMatchObject({
      status: 200,
      body: { name: '/t/1' },
    });
  });

  it('may have a filter of a thousand characters', async () => {
    const { call } = createFixture();
    const filter = 'длинный/'.repeat(125);
    await call('POST', QUEUES, { topic_filter: filter });
    expect((await call('GET', `${QUEUES}/${encodeURIComponent(filter)}`)).status).toBe(200);
  });
});

describe('a change', () => {
  it('leaves what it does not name, also inside the limits', async () => {
    const { call } = createFixture();
    await call('POST', QUEUES, {
      name: 'q',
      topic_filter: 't',
      is_lastvalue: false,
      ping_interval: '3s',
      limits: { max_message_count: 7 },
    });
    const { body } = await call('PUT', `${QUEUES}/q`, { limits: { max_message_bytes: 1_000 } });
    expect(body).toMatchObject({
      ping_interval: 3_000,
      is_lastvalue: false,
      limits: { max_message_count: 7, max_message_bytes: 1_000 },
    });
  });

  it('may lift the limits of a regular queue and set them again', async () => {
    const { call } = createFixture();
    await call('POST', QUEUES, { name: 'q', topic_filter: 't', is_lastvalue: false, limits: { max_message_count: 7 } });
    expect(
      (await call('PUT', `${QUEUES}/q`, { limits: { max_message_count: 'infinity' } })).body.limits.max_message_count,
    ).toBe('infinity');
    expect(
      (await call('PUT', `${QUEUES}/q`, { limits: { max_shard_message_count: 9 } })).body.limits.max_message_count,
    ).toBe(9);
  });

  it('takes back what was read, with something changed under either name', async () => {
    const { call } = createFixture();
    const { body } = await call('POST', QUEUES, { name: 'q', topic_filter: 't', limits: { max_message_count: 7 } });
    expect((await call('PUT', `${QUEUES}/q`, body)).body).toEqual(body);
    body.limits.max_shard_message_count = 8;
    expect((await call('PUT', `${QUEUES}/q`, body)).body.limits.max_message_count).toBe(8);
    body.limits.max_message_count = 9;
    expect((await call('PUT', `${QUEUES}/q`, body)).body.limits.max_shard_message_count).toBe(9);
  });

  it('does not touch what makes the queue the one it is', async () => {
    const { call } = createFixture();
    await call('POST', QUEUES, { name: 'q', topic_filter: 't', is_lastvalue: false });
    expect(await call('PUT', `${QUEUES}/q`, { is_lastvalue: true })).toMatchObject({
      status: 400,
      body: { code: 'BAD_REQUEST', message: 'LastValue flag is not allowed to be updated' },
    });
    expect((await call('PUT', `${QUEUES}/q`, { is_lastvalue: false, ping_interval: 1 })).status).toBe(200);
    for (const [field, value] of Object.entries({
      name: 'r',
      topic_filter: 'u',
      partitions: 2,
      created_at: '2020-01-01',
    })) {
      expect((await call('PUT', `${QUEUES}/q`, { [field]: value })).body.message).toMatch(
        new RegExp(`^"${field}" cannot be changed: it is `),
      );
    }
    expect((await call('PUT', `${QUEUES}/q`, { key_expression: 'message.from' })).body.message).toBe(
      '"key_expression" is allowed on last-value queues only',
    );
  });
});

describe('the list', () => {
  it('pages through all queues in the order of their filters, also while queues come and go', async () => {
    const { call } = createFixture();
    for (const n of [5, 3, 1, 4, 2]) await call('POST', QUEUES, { name: `q${n}`, topic_filter: `t/${n}` });
    const first = await call('GET', `${QUEUES}?limit=2`);
    expect(first.body.data.map((queue: { name: string }) => queue.name)).toEqual(['q1', 'q2']);
    expect(first.body.meta).toEqual({ hasnext: true, cursor: expect.any(String) });
    await call('DELETE', `${QUEUES}/q2`);
    await call('POST', QUEUES, { name: 'q0', topic_filter: 't/0' });
    const second = await call('GET', `${QUEUES}?limit=2&cursor=${first.body.meta.cursor}`);
    expect(second.body.data.map((queue: { name: string }) => queue.name)).toEqual(['q3', 'q4']);
    const last = await call('GET', `${QUEUES}?limit=2&cursor=${second.body.meta.cursor}`);
    expect(last.body.data.map((queue: { name: string }) => queue.name)).toEqual(['q5']);
    expect(last.body.meta).toEqual({ hasnext: false });
  });

  it('orders queues of one filter by name, and an exact page has no next', async () => {
    const { call } = createFixture();
    for (const name of ['b', 'a']) await call('POST', QUEUES, { name, topic_filter: 't' });
    const { body } = await call('GET', `${QUEUES}?limit=2`);
    expect([body.data.map((queue: { name: string }) => queue.name), body.meta]).toEqual([
      ['a', 'b'],
      { hasnext: false },
    ]);
  });

  it.each(['0', '10001', '-1', 'many', '1.5', '1&limit=2'])('refuses limit=%s', async (limit) => {
    const { call } = createFixture();
    expect(await call('GET', `${QUEUES}?limit=${limit}`)).toMatchObject({
      status: 400,
      body: {
        code: 'BAD_REQUEST',
        message: expect.stringContaining('"limit" must be a whole number between 1 and 10000'),
      },
    });
  });

  it.each(['x', '%00', 'bnVsbA', 'WzEsMl0', 'eyJhIjoxfQ'])('refuses cursor=%s', async (cursor) => {
    const { call } = createFixture();
    expect(await call('GET', `${QUEUES}?cursor=${cursor}`)).toMatchObject({
      status: 400,
      body: { code: 'BAD_REQUEST', message: 'Invalid cursor' },
    });
  });
});

it('every path has its alias', async () => {
  const { call } = createFixture();
  expect((await call('POST', '/api/v5/queues', { name: 'q', topic_filter: 't' })).status).toBe(200);
  expect((await call('GET', '/api/v5/queues')).body.data).toHaveLength(1);
  expect((await call('GET', '/api/v5/queue/q')).body.name).toBe('q');
  expect((await call('PUT', '/api/v5/queue/q', { local_max_inflight: 2 })).status).toBe(200);
  expect((await call('GET', '/api/v5/queue/q/stats')).status).toBe(200);
  expect((await call('GET', '/api/v5/queues/stats')).status).toBe(200);
  expect((await call('GET', '/api/v5/queue/q/messages')).status).toBe(200);
  expect((await call('POST', '/api/v5/queue/q/purge')).status).toBe(200);
  expect((await call('GET', '/api/v5/queues/config')).status).toBe(200);
  expect((await call('DELETE', '/api/v5/queue/q')).status).toBe(204);
});

describe('while queues cannot be served', () => {
  it.each([
    [refuse('NOT_READY', 'no leader of the metadata yet'), 'Not ready', 'no leader of the metadata yet'],
    [
      refuse('TIMEOUT', 'no answer within 5 seconds', 'It may have happened'),
      'no answer within 5 seconds',
      'It may have happened',
    ],
    [refuse('UNAVAILABLE', 'the disk failed'), 'the disk failed', undefined],
  ])('says 503: %j', async (refusal, message, hint) => {
    const { call, queues } = createFixture();
    queues.down = refusal;
    const expected = {
      status: 503,
      body: { code: 'SERVICE_UNAVAILABLE', message, ...(hint === undefined ? {} : { hint }) },
    };
    expect(await call('GET', QUEUES)).toMatchObject(expected);
    expect(await call('POST', QUEUES, { topic_filter: 't' })).toMatchObject(expected);
    expect(await call('GET', `${QUEUES}/q`)).toMatchObject(expected);
    expect(await call('DELETE', `${QUEUES}/q`)).toMatchObject(expected);
  });

  it('says 503 "Not enabled" when they are switched off', async () => {
    const { call, queues } = createFixture();
    queues.settings = { ...queues.settings, enable: false };
    for (const [method, url] of [
      ['GET', QUEUES],
      ['GET', `${QUEUES}/q`],
      ['DELETE', `${QUEUES}/q`],
      ['GET', '/api/v5/message_queues/stats'],
    ] as const) {
      expect(await call(method, url)).toMatchObject({
        status: 503,
        body: { code: 'SERVICE_UNAVAILABLE', message: 'Not enabled' },
      });
    }
    expect((await call('POST', QUEUES, { topic_filter: 't' })).status).toBe(503);
    expect((await call('GET', '/api/v5/message_queues/config')).status).toBe(200);
  });
});
