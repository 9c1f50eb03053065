import { beforeEach, expect, jest, test } from '@jest/globals';
import { systemClock } from '@sluice/common/clock';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';

let storesKnown: () => void = () => {};
let done: string[] = [];
const listening = (name: string) => async () => {
  done.push(name);
  return { host: '127.0.0.1', port: 1 };
};

class Gateway {
  serve(): void {}
  publishWills(): void {
    done.push('wills');
  }
  listenTcp = listening('tcp');
  listenWebSocket = listening('ws');
  stopListening(): void {}
  async drain(): Promise<void> {}
  async close(): Promise<void> {}
}
class GatewayStores {
  ready(): Promise<void> {
    return new Promise((resolve) => {
      storesKnown = resolve;
    });
  }
  async close(): Promise<void> {}
}
class WatchedFiles {
  watch(): void {
    done.push('files');
  }
  close(): void {}
}

jest.unstable_mockModule('@sluice/gateway/gateway', () => ({ Gateway }));
jest.unstable_mockModule('../../src/roles/gateway-stores.ts', () => ({ GatewayStores }));
jest.unstable_mockModule('../../src/roles/door.ts', () => ({ doorOf: () => ({ close: () => {} }) }));
jest.unstable_mockModule('../../src/roles/gateway-limits.ts', () => ({ gatewayLimitsOf: () => ({}) }));
jest.unstable_mockModule('../../src/certificates/watched-files.ts', () => ({ WatchedFiles }));
const { GatewayRole } = await import('../../src/roles/gateway-role.ts');

function roleThatStarts(): InstanceType<typeof GatewayRole> {
  const address = { host: '127.0.0.1', port: 0 };
  const listeners = { mqtt: address, mqtts: null, ws: address, wss: null };
  const mqtt = { proxyProtocol: new Set(), readsInPlace: true };
  const parts = {
    config: { auth: {}, listeners, mqtt },
    nodeId: 1,
    name: 'n',
    topology: { access: {}, nodes: () => [] },
    transport: { serveCall: () => {} },
    clock: systemClock,
    logger: silentLogger,
    metrics: new PlainMetrics(),
    certificates: undefined,
  };
  return new GatewayRole(parts as unknown as ConstructorParameters<typeof GatewayRole>[0]);
}

beforeEach(() => {
  done = [];
});

test('clients are let in when the stores are known', async () => {
  const role = roleThatStarts();
  const listened = role.listen(() => false);
  expect(done).toEqual([]);
  storesKnown();
  await listened;
  expect(done).toEqual(['wills', 'tcp', 'ws', 'files']);
});

test.each([
  ['that is to stop', (role: InstanceType<typeof GatewayRole>) => role.beginStop()],
  ['that sends its clients away', (role: InstanceType<typeof GatewayRole>) => role.sendAway(0)],
  ['that stopped', (role: InstanceType<typeof GatewayRole>) => role.stop(0)],
])('by a node %s while it starts nobody is let in', async (_which, stop) => {
  const role = roleThatStarts();
  const listened = role.listen(() => false);
  await stop(role);
  storesKnown();
  await listened;
  expect(done).toEqual([]);
});
