import { pause } from '../faults/kill-rounds.ts';
import { type Arena, type FaultKind, pick } from './fault.ts';
import { NETWORKS } from './node-networks.ts';

const CUT_MS_MAX = 8_000;
const NETWORKED = { needs: [NETWORKS], cluster: { networks: true } };
const QUEUES = ['tasks/+', 'strict/+', 'spread/+', 'later/+'];

async function holdCut({ cluster, prng }: Arena, what: string): Promise<string> {
  const cutMs = 2_000 + prng.below(CUT_MS_MAX - 2_000);
  await pause(cutMs);
  cluster.networks?.heal();
  return `${what}, for ${cutMs} ms`;
}

const names = (nodes: readonly { name: string }[]) => nodes.map(({ name }) => name);

export const F7: FaultKind = {
  id: 'F7',
  title: 'symmetric partition: a leading store, another store, a minority of everything, a store alone',
  ...NETWORKED,
  async strike(arena) {
    const { cluster, prng, round } = arena;
    const network = cluster.networks as NonNullable<typeof cluster.networks>;
    const all = names(cluster.nodes);
    const leader = await cluster.leaderOf(pick(prng, QUEUES));
    const stores = names(cluster.withRole('store'));
    const without = (some: readonly string[]) => all.filter((name) => !some.includes(name));
    if (round % 3 === 1) {
      network.cut([leader], without([leader]));
      return await holdCut(arena, `${leader}, a leader, cut off from all nodes`);
    }
    if (round % 3 === 2) {
      // The gateways are with the majority; clients of theirs see the stores change.
      const some = [leader, pick(prng, names(cluster.withRole('coordinator')))];
      network.cut(some, without(some));
      return await holdCut(arena, `${some.join(' and ')} cut off from the others`);
    }
    network.cut([leader], without([leader, ...names(cluster.gateways())]));
    return await holdCut(
      arena,
      `${leader} hears gateways and neither ${stores.filter((name) => name !== leader).join(', ')} nor coordinators`,
    );
  },
  bounds: { gapMedianMs: 4_000, gapWorstMs: 6_000, resumeMs: 5_000, restMs: 30_000 },
};

export const F8: FaultKind = {
  id: 'F8',
  title: 'one-way and partial partition of the stores',
  ...NETWORKED,
  async strike(arena) {
    const { cluster, prng, round } = arena;
    const network = cluster.networks as NonNullable<typeof cluster.networks>;
    const leader = await cluster.leaderOf(pick(prng, QUEUES));
    const others = names(cluster.withRole('store')).filter((name) => name !== leader);
    const all = names(cluster.nodes);
    if (round % 4 === 1) {
      network.cut([leader], [others[0] as string]);
      return await holdCut(arena, `${leader} and ${others[0]} do not hear each other, ${others[1]} hears both`);
    }
    if (round % 4 === 2) {
      network.cutOneWay([leader], others);
      return await holdCut(arena, `what ${leader} says does not reach the other stores`);
    }
    if (round % 4 === 3) {
      network.cutOneWay(others, [leader]);
      return await holdCut(arena, `${leader} does not hear the other stores`);
    }
    network.cutOneWay([leader], all);
    return await holdCut(arena, `what ${leader} says reaches nobody`);
  },
  bounds: { gapWorstMs: 10_000, resumeMs: 10_000, restMs: 30_000 },
};

export const F9: FaultKind = {
  id: 'F9',
  title: 'gateways, or coordinators, cut off from a leading store only',
  ...NETWORKED,
  async strike(arena) {
    const { cluster, prng, round } = arena;
    const leader = await cluster.leaderOf(pick(prng, QUEUES));
    const gateways = names(cluster.gateways());
    const cut = [[gateways[0] as string], names(cluster.withRole('coordinator')), gateways][round % 3] as string[];
    cluster.networks?.cut(cut, [leader]);
    return await holdCut(arena, `${cut.join(', ')} cut off from ${leader}`);
  },
  // While the leader is well, nobody takes its place: its gateways wait for as long as the cut lasts.
  bounds: { gapWorstMs: CUT_MS_MAX + 6_000, resumeMs: 6_000, restMs: 30_000 },
};
