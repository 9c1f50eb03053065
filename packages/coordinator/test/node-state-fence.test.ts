import { expect, test } from '@jest/globals';
import { silentLogger } from '@sluice/common/logger';
import { PlainMetrics } from '@sluice/common/metrics';
import type { MetaCommand } from '@sluice/meta/meta-commands';
import { MetaMachine } from '@sluice/meta/meta-machine';
import { Coordinator, type CoordinatorHost } from '../src/coordinator.ts';
import { nodeInfo } from './support/test-cluster.ts';

/** A coordinator that leads a group of its own, whose log commits when the test says so. */
async function leadingCoordinator() {
  const machine = new MetaMachine();
  let log: { bytes: Uint8Array; token: unknown }[] = [];
  let index = 0;
  let nowMs = 0;
  const host = {
    addGroup: async () => machine,
    propose: (_groupId: number, bytes: Uint8Array, token: unknown) => {
      log.push({ bytes, token });
      return 'proposed';
    },
    status: () => undefined,
    peerAlive: () => true,
    leaderOf: () => 1,
    termOf: () => 1,
  } as unknown as CoordinatorHost;
  const founders = [nodeInfo(1, ['coordinator']), nodeInfo(2, ['gateway'])];
  const coordinator = new Coordinator({
    nodeId: 1,
    host,
    bootstrapVoters: [1],
    formation: { clusterId: 'c', partitionCount: 0, replicationFactor: 1, queueCountMax: 1, founders },
    clock: { nowMs: () => nowMs, monotonicMs: () => nowMs },
    logger: silentLogger,
    metrics: new PlainMetrics(),
  });
  await coordinator.open();
  const apply = (): void => {
    const entries = log;
    log = [];
    for (const { bytes, token } of entries) coordinator.applied(++index, machine.apply(index, bytes), token);
  };
  /** What was proposed takes effect, and whoever waited for it goes on. */
  const commit = async (): Promise<void> => {
    apply();
    await new Promise(setImmediate);
  };
  coordinator.leadership(true);
  await commit();
  return {
    apply,
    commit,
    wish: (state: Extract<MetaCommand, { kind: 'set-node-state' }>['state']) =>
      coordinator.execute({ kind: 'set-node-state', nodeId: 2, state }),
    state: () => machine.node(2)?.state,
    pass: () => {
      nowMs += Coordinator.TICK_MS;
      coordinator.tick();
    },
  };
}

test('a node that is leaving is gone when nothing is on it', async () => {
  const { wish, commit, pass, state } = await leadingCoordinator();
  const leaving = wish('leaving');
  await commit();
  await leaving;
  pass();
  await commit();
  expect(state()).toBe('gone');
});

test('a node that was told to stay is not taken for gone by who has not seen that yet', async () => {
  const { wish, apply, commit, pass, state } = await leadingCoordinator();
  void wish('leaving');
  apply();
  // In the log, and not applied, when the coordinator looks at who is leaving.
  const staying = wish('active');
  await new Promise(setImmediate);
  pass();
  await commit();
  expect(await staying).toMatchObject({ result: 'done' });
  pass();
  await commit();
  expect(state()).toBe('active');
});
