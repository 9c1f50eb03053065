import { expect, jest, test } from '@jest/globals';
import { systemClock } from '@sluice/common/clock';
import { silentLogger } from '@sluice/common/logger';
import { PrometheusMetrics } from '@sluice/telemetry/prometheus-metrics';
import type { ServerConfig } from '../../src/config/config.ts';
import { NodeHealth } from '../../src/node/node-health.ts';

let serves: () => void = () => {};
const health = new NodeHealth(systemClock, silentLogger);
const metrics = new PrometheusMetrics();
const parts = {
  health,
  metrics,
  nodeId: 1,
  topology: { nodes: () => [], isAlive: () => false },
  watcher: { coordinator: 1, close: () => {} },
  place: { leave: async () => {} },
  link: { close: async () => {} },
  processMetrics: { close: () => {} },
};

jest.unstable_mockModule('../../src/node/take-part.ts', () => ({
  takePart: () => new Promise<void>((resolve) => (serves = resolve)),
}));
jest.unstable_mockModule('../../src/node/compose-node.ts', () => ({ composeNode: async () => parts }));
jest.unstable_mockModule('../../src/node/ground.ts', () => ({ openGround: async () => ({ close: async () => {} }) }));
jest.unstable_mockModule('../../src/node/node-link.ts', () => ({ openNodeLink: async () => parts.link }));
jest.unstable_mockModule('../../src/node/close-roles.ts', () => ({ closeRoles: async () => {} }));
jest.unstable_mockModule('../../src/certificates/listener-certificates.ts', () => ({
  openListenerCertificates: async () => undefined,
}));

test('a node that is to stop while it starts is not ready again when its start is done', async () => {
  const { RunningNode } = await import('../../src/node/running-node.ts');
  const config = {} as ServerConfig;
  const node = await RunningNode.open(config, { logger: silentLogger, metrics, health }, () => false);
  const begun = node.begin(config, silentLogger);
  await node.drain(0);
  expect(health.report.ready()).toMatchObject({ ok: false });
  serves();
  await begun;
  const { ok, checks } = health.report.ready();
  await node.close();
  expect([ok, checks.find(({ name }) => name === 'drain')?.reason]).toEqual([false, 'this node is stopping']);
});
