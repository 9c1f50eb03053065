import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, jest, test } from '@jest/globals';
import { systemClock } from '@sluice/common/clock';
import { silentLogger } from '@sluice/common/logger';
import { RaftHost } from '@sluice/multiraft/raft-host';
import { Store } from '@sluice/store/store';
import { PrometheusMetrics } from '@sluice/telemetry/prometheus-metrics';
import { loadConfig } from '../../src/config/load-config.ts';
import { NodeHealth } from '../../src/node/node-health.ts';

class GatewayRole {
  constructor() {
    throw new Error('of a test');
  }
}
jest.unstable_mockModule('../../src/roles/gateway-role.ts', () => ({ GatewayRole }));

test('a node that cannot be made as a whole closes what was made of it, the last first', async () => {
  const { RunningNode } = await import('../../src/node/running-node.ts');
  const closed: string[] = [];
  for (const [name, { prototype }] of [['store', Store] as const, ['groups', RaftHost] as const]) {
    const { close } = prototype;
    jest.spyOn(prototype, 'close').mockImplementation(async function (this: Store & RaftHost) {
      await close.call(this);
      closed.push(name);
    });
  }
  const directory = await mkdtemp(join(tmpdir(), 'sluice-compose-'));
  try {
    const set = ['mqtt', 'ws', 'http'].map((listener) => `listeners.${listener}=none`);
    const loaded = loadConfig({ flags: { data: directory, set }, env: {}, readFile: () => '' });
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
    const health = new NodeHealth(systemClock, silentLogger);
    const parts = { logger: silentLogger, metrics: new PrometheusMetrics(), health };
    await expect(RunningNode.open(loaded.config, parts, () => false)).rejects.toThrow('of a test');
    expect(closed).toEqual(['store', 'groups']);
  } finally {
    await rm(directory, { recursive: true });
  }
});
