import { expect, test } from '@jest/globals';
import { QueueCheck } from '../src/check/queue-check.ts';
import { drawClusterKnobs } from '../src/cluster/cluster-knobs.ts';
import { Fleet } from '../src/cluster/fleet.ts';
import { Draw } from '../src/draw.ts';
import { SimNetwork } from '../src/sim-network.ts';
import { SimWorld } from '../src/sim-world.ts';
import { enterWorld } from '../src/virtual-globals.ts';

const WIRE_MS = 50;

// Cluster seed 821076: it was told whom to ask in its answer, and took those who ran when that came, who were none.
test('a node that was given its place knows coordinators, though the one that gave it died at once', async () => {
  const world = new SimWorld(1);
  const network = { latencyMsMin: WIRE_MS, latencyMsMax: WIRE_MS, keepaliveMs: 1_000, callTimeoutMs: 5_000 };
  const knobs = { ...drawClusterKnobs(new Draw(world.prng), 1_000), stores: 1, gateways: 1, partitions: 1, network };
  const fleet = new Fleet(world, new SimNetwork(world, network), knobs);
  const leave = enterWorld(world);
  const until = (holds: () => boolean): Promise<boolean> => world.runUntil(world.nowMs + 20_000, WIRE_MS / 5, holds);
  try {
    fleet.found(new QueueCheck(() => false), () => {}, undefined);
    expect(await until(() => [...fleet.machines()].every(({ state }) => state === 'up'))).toBe(true);

    fleet.join('added', ['store', 'coordinator']);
    expect(
      await until(
        () =>
          fleet
            .metadata()
            ?.nodes()
            .some(({ name }) => name === 'added') === true,
      ),
    ).toBe(true);
    const founder = fleet.stores.get(1);
    founder?.kill('process');
    expect(await until(() => fleet.joining === 0)).toBe(true);
    founder?.start();

    expect(await until(() => [...fleet.stores.values()].every(({ state }) => state === 'up'))).toBe(true);
    expect(fleet.stores.size).toBe(2);
  } finally {
    leave();
  }
});
