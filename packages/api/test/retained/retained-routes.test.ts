import { beforeEach, describe, expect, test } from '@jest/globals';
import { type ApiFixture, createFixture } from '../api-fixture.ts';
import { MemoryRetainedManagement } from '../memory-retained-management.ts';

const ALL = '/api/v5/mqtt/retainer/messages';
const ONE = '/api/v5/mqtt/retainer/message/';

let retained: MemoryRetainedManagement;
let fixture: ApiFixture;
beforeEach(() => {
  retained = new MemoryRetainedManagement();
  fixture = createFixture({ retained });
  for (let i = 0; i < 5; i++) retained.put(`fleet/${i}/state`, `state ${i}`);
  retained.put('other', 'x', { expiresAtMs: 1_800_000_060_000, qos: 0 });
});

describe('retained messages over HTTP', () => {
  test('a page, and the next', async () => {
    const first = await fixture.call('GET', `${ALL}?limit=4`);
    expect(first.status).toBe(200);
    expect(first.body.meta).toEqual({ page: 1, limit: 4, hasnext: true });
    expect(first.body.data[0]).toEqual({
      topic: 'fleet/0/state',
      qos: 1,
      publish_at: '2027-01-15T08:00:00.000Z',
      from_clientid: 'p',
      expires_at: null,
      payload_size: 7,
    });
    const next = await fixture.call('GET', `${ALL}?limit=4&page=2`);
    expect(next.body.data.map(({ topic }: { topic: string }) => topic)).toEqual(['fleet/4/state', 'other']);
    expect(next.body.meta.hasnext).toBe(false);
    expect(next.body.data[1]).toMatchObject({ expires_at: '2027-01-15T08:01:00.000Z', qos: 0 });
  });

  test('by filter', async () => {
    const { body } = await fixture.call('GET', `${ALL}?topic=${encodeURIComponent('fleet/+/state')}`);
    expect(body.data).toHaveLength(5);
    const wrong = await fixture.call('GET', `${ALL}?topic=${encodeURIComponent('a/#/b')}`);
    expect([wrong.status, wrong.body.code]).toEqual([400, 'BAD_REQUEST']);
    for (const query of ['limit=0', 'limit=1001', 'page=0', 'page=x']) {
      expect((await fixture.call('GET', `${ALL}?${query}`)).status).toBe(400);
    }
  });

  test('one, with its payload; gone when it was deleted', async () => {
    const path = ONE + encodeURIComponent('fleet/3/state');
    const { status, body } = await fixture.call('GET', path);
    expect([status, body.topic, body.payload_text]).toEqual([200, 'fleet/3/state', 'state 3']);
    expect(Buffer.from(body.payload, 'base64').toString()).toBe('state 3');
    expect((await fixture.call('DELETE', path)).status).toBe(204);
    expect((await fixture.call('GET', path)).body).toEqual({
      code: 'NOT_FOUND',
      message: 'Retained message not found',
    });
    expect((await fixture.call('DELETE', path)).status).toBe(404);
  });

  test('503 while nobody answers', async () => {
    retained.isAway = true;
    expect((await fixture.call('GET', ALL)).status).toBe(503);
    expect((await fixture.call('GET', `${ONE}other`)).status).toBe(503);
  });
});
