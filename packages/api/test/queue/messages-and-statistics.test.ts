import { describe, expect, it } from '@jest/globals';
import { textOf } from '../../src/queue/message-routes.ts';
import { createFixture, NOW_MS } from '../api-fixture.ts';

const QUEUES = '/api/v5/message_queues/queues';

async function withQueue() {
  const fixture = createFixture();
  await fixture.call('POST', QUEUES, { name: 'q', topic_filter: 'orders/#', is_lastvalue: false });
  return fixture;
}

describe('peek', () => {
  it('shows messages with all that is known of them', async () => {
    const { call, queues } = await withQueue();
    queues.store('q', '{"n":1}', {
      state: 'inflight',
      deliveryCount: 2,
      expiresAtMs: NOW_MS,
      key: 'k',
      properties: {
        contentType: 'application/json',
        responseTopic: 'r',
        correlationData: new Uint8Array([1, 2]),
        payloadFormatIndicator: 1,
        userProperties: [
          ['a', '1'],
          ['a', '2'],
        ],
      },
    });
    queues.store('q', new Uint8Array([0, 255, 1]));
    const { body } = await call('GET', `${QUEUES}/q/messages`);
    expect(body).toEqual({
      data: [
        {
          partition: 0,
          offset: 0,
          topic: 'orders/1',
          publisher: 'p1',
          qos: 1,
          retain: false,
          published_at: new Date(NOW_MS - 60_000).toISOString(),
          expires_at: new Date(NOW_MS).toISOString(),
          delivery_count: 2,
          state: 'inflight',
          key: 'k',
          properties: {
            content_type: 'application/json',
            response_topic: 'r',
            correlation_data: 'AQI=',
            payload_format_indicator: 1,
            user_properties: [
              { name: 'a', value: '1' },
              { name: 'a', value: '2' },
            ],
          },
          payload: Buffer.from('{"n":1}').toString('base64'),
          payload_text: '{"n":1}',
          payload_size: 7,
          truncated: false,
        },
        expect.objectContaining({
          offset: 1,
          payload: 'AP8B',
          payload_text: null,
          expires_at: null,
          key: null,
          properties: { user_properties: [] },
        }),
      ],
      meta: { next: null },
    });
  });

  it('pages from an offset', async () => {
    const { call, queues } = await withQueue();
    for (let i = 0; i < 25; i++) queues.store('q', `m${i}`);
    const offsets = async (query: string) => {
      const { body } = await call('GET', `${QUEUES}/q/messages${query}`);
      return [body.data.map((message: { offset: number }) => message.offset), body.meta.next];
    };
    expect(await offsets('')).toEqual([[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 10]);
    expect(await offsets('?limit=2&from=10')).toEqual([[10, 11], 12]);
    expect(await offsets('?limit=100&from=20')).toEqual([[20, 21, 22, 23, 24], null]);
  });

  it('cuts long payloads, the more messages the shorter', async () => {
    const { call, queues } = await withQueue();
    queues.store('q', 'é'.repeat(40_000));
    const payload = async (query: string) => (await call('GET', `${QUEUES}/q/messages${query}`)).body.data[0];
    expect(await payload('')).toMatchObject({ truncated: true, payload_size: 80_000, payload_text: 'é'.repeat(2_048) });
    expect((await payload('?max_payload_bytes=3')).payload_text).toBe('é');
    expect((await payload('?max_payload_bytes=0')).payload).toBe('');
    expect(Buffer.from((await payload('?max_payload_bytes=65536&limit=100')).payload, 'base64')).toHaveLength(10_485);
  });

  it.each([
    ['limit=0', '"limit" must be a whole number between 1 and 100, not "0"'],
    ['limit=101', '"limit" must be a whole number between 1 and 100'],
    ['from=-1', '"from" must be a whole number between 0 and'],
    ['from=x', '"from" must be a whole number between 0 and'],
    ['partition=x', '"partition" must be'],
    ['max_payload_bytes=65537', '"max_payload_bytes" must be a whole number between 0 and 65536'],
  ])('refuses %s', async (query, message) => {
    const { call } = await withQueue();
    expect(await call('GET', `${QUEUES}/q/messages?${query}`)).toMatchObject({
      status: 400,
      body: { message: expect.stringContaining(message) },
    });
  });
});

it.each([
  [[0x68, 0x69], false, 'hi'],
  [[0xc3, 0xa9], false, 'é'],
  [[0x68, 0xc3], true, 'h'],
  [[0x68, 0xc3], false, null],
  [[0x80], true, null],
  [[0x00], false, null],
  [[0x1b, 0x5b], false, null],
  [[0x09, 0x0a, 0x0d], false, '\t\n\r'],
  [[], false, ''],
])('the bytes %j (cut: %s) read as %j', (bytes, truncated, text) => {
  expect(textOf(new Uint8Array(bytes), truncated)).toBe(text);
});

it('purge says how many went, and the queue stays', async () => {
  const { call, queues } = await withQueue();
  for (let i = 0; i < 3; i++) queues.store('q', 'x');
  expect(await call('POST', `${QUEUES}/q/purge`)).toMatchObject({ status: 200, body: { purged: 3 } });
  expect(await call('POST', `${QUEUES}/q/purge`, {})).toMatchObject({ status: 200, body: { purged: 0 } });
  expect((await call('GET', `${QUEUES}/q`)).status).toBe(200);
  expect((await call('POST', `${QUEUES}/gone/purge`)).status).toBe(404);
});

describe('statistics', () => {
  it('of one queue', async () => {
    const { call, queues } = await withQueue();
    queues.store('q', 'four');
    queues.store('q', 'x', { state: 'inflight' });
    const { status, body } = await call('GET', `${QUEUES}/q/stats`);
    expect(status).toBe(200);
    expect(body).toMatchObject({
      name: 'q',
      topic_filter: 'orders/#',
      is_lastvalue: false,
      statistics: {
        depth_messages: 2,
        depth_bytes: 5,
        ready_messages: 1,
        inflight_messages: 1,
        lag_messages: 2,
        lag_seconds: 60,
        oldest_message_age_seconds: 60,
        oldest_published_at: new Date(NOW_MS - 60_000).toISOString(),
        consumers: 2,
        partitions: [{ partition: 0, head_offset: 0, tail_offset: 2, depth_messages: 2, depth_bytes: 5, leader: 'n1' }],
      },
    });
  });

  it('tell the unknown from zero', async () => {
    const { call, queues } = await withQueue();
    await call('POST', QUEUES, { name: 'r', topic_filter: 'x' });
    queues.silent.add('q');
    const { body } = await call('GET', '/api/v5/message_queues/stats');
    expect(body.data.map((row: { name: string; statistics: unknown }) => [row.name, row.statistics !== null])).toEqual([
      ['q', false],
      ['r', true],
    ]);
    expect(body.data[1].statistics).toMatchObject({
      depth_messages: 0,
      oldest_message_age_seconds: 0,
      oldest_published_at: null,
    });
    expect(await call('GET', `${QUEUES}/q/stats`)).toMatchObject({
      status: 503,
      body: { code: 'SERVICE_UNAVAILABLE' },
    });
    expect((await call('GET', `${QUEUES}/gone/stats`)).status).toBe(404);
  });

  it('are paged like the list', async () => {
    const { call } = await withQueue();
    await call('POST', QUEUES, { name: 'r', topic_filter: 'x' });
    const { body } = await call('GET', '/api/v5/message_queues/stats?limit=1');
    expect(body.meta.hasnext).toBe(true);
    expect(
      (await call('GET', `/api/v5/message_queues/stats?limit=1&cursor=${body.meta.cursor}`)).body.data[0].name,
    ).toBe('r');
    expect((await call('GET', '/api/v5/message_queues/stats?limit=1001')).status).toBe(400);
  });
});
