import { expect, it } from '@jest/globals';
import { createFixture } from '../api-fixture.ts';
import { MemoryConnectionBalance } from '../memory-connection-balance.ts';

const PATH = '/api/v5/cluster/rebalance';

it('connections are looked at, spread, and kept', async () => {
  const connections = new MemoryConnectionBalance();
  const { call } = createFixture({ connections });
  expect(await call('GET', PATH)).toMatchObject({
    status: 200,
    body: { under_way: false, mean_connections: 500, gateways: [{ node: 'n1', connections: 900 }, { node: 'n2' }] },
  });
  expect(await call('POST', PATH, { connections_per_second: 7, threshold_percent: 120 })).toMatchObject({
    status: 200,
    body: { under_way: true, gateways: [{ node: 'n1', shedding: true, target: 500, sent: 0 }, { shedding: false }] },
  });
  expect(connections.wish).toEqual({ threshold: 1.2, perSecond: 7 });
  expect(await call('DELETE', PATH)).toMatchObject({ status: 200, body: { under_way: false } });
  expect((await call('POST', PATH)).status).toBe(200);
  expect(connections.wish).toEqual({ threshold: 1.1, perSecond: 50 });
});

it('what is wrong is said', async () => {
  const connections = new MemoryConnectionBalance();
  const { call } = createFixture({ connections });
  expect((await call('POST', PATH, { connections_per_second: 0 })).status).toBe(400);
  expect((await call('POST', PATH, { threshold_percent: 100 })).status).toBe(400);
  expect((await call('POST', PATH, { speed: 3 })).status).toBe(400);
  connections.isAnswering = false;
  expect(await call('GET', PATH)).toMatchObject({
    status: 503,
    body: { message: 'The gateway n2 does not say how many connections it has' },
  });
});
