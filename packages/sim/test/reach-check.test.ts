import { expect, test } from '@jest/globals';
import type { Fleet } from '../src/cluster/fleet.ts';
import type { GatewayNode } from '../src/cluster/gateway-node.ts';
import { ReachCheck } from '../src/retained/reach-check.ts';

// Retained seed 2932011: a gateway that had lost two stores asked one, and then the other, before the third.
test('each store that is out of reach costs who reads the time of a question', () => {
  const gateway = {
    name: 'g',
    nodeId: 100,
    state: 'up',
    life: { paused: false, name: 'g.1' },
  } as unknown as GatewayNode;
  const cut = new Set<number>();
  const world = { nowMs: 0 };
  const fleet = {
    world,
    knobs: { partitions: 3 },
    gateways: [gateway],
    network: { isCut: (a: number, b: number) => cut.has(a) || cut.has(b), knobs: { callTimeoutMs: 5_000 } },
    leaderOf: (partition: number) => ({ nodeId: partition, state: 'up', life: { paused: false } }),
  };
  const reach = new ReachCheck(fleet as unknown as Fleet);
  const waitMsMax = (): number => {
    reach.sample();
    return reach.waitMsMax(gateway, world.nowMs);
  };
  expect(waitMsMax()).toBe(ReachCheck.WAIT_MS_MAX);
  cut.add(1);
  expect(waitMsMax()).toBe(ReachCheck.WAIT_MS_MAX);
  cut.add(2);
  expect(waitMsMax()).toBe(ReachCheck.WAIT_MS_MAX + 5_000);
  expect(reach.isReached(gateway, 3, 0)).toBe(true);
});
