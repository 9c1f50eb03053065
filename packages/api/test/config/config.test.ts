import { describe, expect, it } from '@jest/globals';
import { createFixture } from '../api-fixture.ts';

const CONFIG = '/api/v5/message_queues/config';

describe('the configuration of queues', () => {
  it('has its defaults', async () => {
    const { call } = createFixture();
    expect((await call('GET', CONFIG)).body).toEqual({
      enable: 'auto',
      max_queue_count: 200_000,
      gc_interval: '1h',
      regular_queue_retention_period: '7d',
      find_queue_retry_interval: '10s',
      auto_create: { regular: false, lastvalue: false },
    });
  });

  it('is changed field by field, and durations come back as they were written', async () => {
    const { call, queues } = createFixture();
    expect(await call('PUT', CONFIG, { gc_interval: '60m', max_queue_count: 5 })).toMatchObject({
      status: 204,
      text: '',
    });
    expect((await call('PUT', CONFIG, { find_queue_retry_interval: 2_000, enable: true })).status).toBe(204);
    expect((await call('GET', CONFIG)).body).toMatchObject({
      enable: true,
      max_queue_count: 5,
      gc_interval: '60m',
      find_queue_retry_interval: 2_000,
      regular_queue_retention_period: '7d',
    });
    expect(queues.settings.gcInterval.ms).toBe(3_600_000);
  });

  it('takes a template for queues that subscriptions create, replacing the one before', async () => {
    const { call, queues } = createFixture();
    const lastvalue = {
      key_expression: 'message.topic',
      data_retention_period: '1d',
      limits: { max_message_count: 3 },
    };
    expect((await call('PUT', CONFIG, { auto_create: { lastvalue } })).status).toBe(204);
    expect(queues.settings.autoCreate).toEqual({
      regular: false,
      lastValue: {
        keyExpression: 'message.topic',
        dataRetentionMs: 86_400_000,
        limits: { countMax: 3, bytesMax: null, overflow: 'refuse' },
      },
    });
    expect((await call('GET', CONFIG)).body.auto_create).toMatchObject({
      regular: false,
      lastvalue: { key_expression: 'message.topic', limits: { max_shard_message_count: 3 } },
    });
    expect((await call('PUT', CONFIG, { auto_create: { regular: {}, lastvalue: false } })).status).toBe(204);
    expect((await call('GET', CONFIG)).body.auto_create).toEqual({ regular: {}, lastvalue: false });
  });

  it('can be written back as it was read', async () => {
    const { call } = createFixture();
    await call('PUT', CONFIG, {
      auto_create: { regular: { local_max_inflight: 2, limits: { overflow: 'drop_oldest' } } },
    });
    const { body } = await call('GET', CONFIG);
    expect((await call('PUT', CONFIG, body)).status).toBe(204);
    expect((await call('GET', CONFIG)).body).toEqual(body);
  });

  it('cannot switch queues off while there are some', async () => {
    const { call } = createFixture();
    await call('POST', '/api/v5/queues', { topic_filter: 't' });
    expect(await call('PUT', CONFIG, { enable: false })).toMatchObject({
      status: 400,
      body: { code: 'BAD_REQUEST', message: 'Cannot disable MQ subsystem via API when there are existing queues' },
    });
    await call('DELETE', '/api/v5/queue/t');
    expect((await call('PUT', CONFIG, { enable: false })).status).toBe(204);
    expect((await call('GET', '/api/v5/queues')).status).toBe(503);
    expect((await call('PUT', CONFIG, { enable: 'auto' })).status).toBe(204);
  });

  it.each([
    [{ enable: 'yes' }, '"enable" must be true, false or "auto", not "yes"'],
    [{ max_queue_count: 0 }, '"max_queue_count" must be a whole number between 1 and 10000000, not 0'],
    [{ gc_interval: '-1h' }, '"gc_interval" must not be negative (got "-1h")'],
    [{ gc_interval: -5 }, '"gc_interval" must be a whole number of milliseconds that is not negative, not -5'],
    [{ find_queue_retry_interval: '50d' }, '"find_queue_retry_interval" must be between 1ms and'],
    [{ regular_queue_retention_period: 'week' }, '"regular_queue_retention_period" must be a number with a unit'],
    [{ auto_create: true }, '"auto_create" must be a JSON object, not true'],
    [
      { auto_create: { regular: true } },
      '"auto_create.regular" must be false or an object of queue settings, not true',
    ],
    [
      { auto_create: { regular: { key_expression: 'a' } } },
      '"auto_create.regular.key_expression" is not a known field',
    ],
    [
      { auto_create: { lastvalue: { limits: { overflow: 1 } } } },
      '"auto_create.lastvalue.limits.overflow" must be one of',
    ],
    [{ auto_create: { lastvalue: { name: 'x' } } }, '"auto_create.lastvalue.name" is not a known field'],
    [
      { auto_create: { regular: {}, lastvalue: {} } },
      'Queues should be configured to be automatically created either as regular or lastvalue',
    ],
    [{ max_queue: 5 }, '"max_queue" is not a known field'],
    [[], 'The body must be a JSON object, not []'],
  ])('refuses %j', async (body, message) => {
    const { call } = createFixture();
    const answer = await call('PUT', CONFIG, body);
    expect([answer.status, answer.body.code]).toEqual([400, 'BAD_REQUEST']);
    expect(answer.body.message).toContain(message);
  });
});
