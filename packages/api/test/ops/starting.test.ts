import { expect, it } from '@jest/globals';
import type { HealthReport } from '@sluice/telemetry/health';
import { createFixture, NOW_MS } from '../api-fixture.ts';

const REASON = 'waiting for 10.0.0.2:18830 of the join list: connection refused';
const health = {
  live: (): HealthReport => ({ ok: true, checks: [] }),
  ready: (): HealthReport => ({ ok: false, checks: [{ name: 'cluster', ok: false, reason: REASON, sinceMs: NOW_MS }] }),
};

it('before the node can serve, health and metrics answer, and everything else says what it waits for', async () => {
  const { call } = createFixture({ isServing: false, health });
  for (const path of ['/healthz', '/livez?verbose'])
    expect(await call('GET', path)).toMatchObject({ status: 200, body: { status: 'ok', checks: [] } });
  const checks = [{ name: 'cluster', ok: false, reason: REASON, since: new Date(NOW_MS).toISOString() }];
  expect(await call('GET', '/readyz')).toMatchObject({ status: 503, body: { status: 'failing', checks } });
  expect(await call('GET', '/metrics')).toMatchObject({ status: 200, text: expect.stringContaining('sluice_up 1') });
  expect(await call('POST', '/api/v5/message_queues/queues', {})).toMatchObject({
    status: 503,
    body: { code: 'SERVICE_UNAVAILABLE', message: `This node has no place in a cluster yet: ${REASON}` },
  });
});

it('probes and scrapers are answered without the API, as it would answer them', async () => {
  const { call, api } = createFixture({ health });
  const paths = ['/healthz', '/livez?verbose', '/readyz', '/metrics'];
  const without = [];
  for (const path of paths) without.push(await call('GET', path));
  expect((await call('HEAD', '/readyz')).status).toBe(503);
  expect(api.isLoaded).toBe(false);
  await call('GET', '/api/v5/nodes');
  expect(api.isLoaded).toBe(true);
  for (const [i, path] of paths.entries()) {
    const { status, body, text, headers } = await call('GET', path);
    expect({ status, body, text, type: headers['content-type'], sniff: headers['x-content-type-options'] }).toEqual({
      status: without[i]?.status,
      body: without[i]?.body,
      text: without[i]?.text,
      type: without[i]?.headers['content-type'],
      sniff: without[i]?.headers['x-content-type-options'],
    });
  }
});
