import { pause } from '../faults/kill-rounds.ts';
import { type FaultKind, pick } from './fault.ts';

const DOWN_MS_MAX = 4_000;
const CALM_MS = 3_000;
const REST_MS = 30_000;

export const F0: FaultKind = {
  id: 'F0',
  title: 'nothing at all',
  async strike() {
    await pause(CALM_MS);
    return 'nothing';
  },
  bounds: { gapWorstMs: 2_000, resumeMs: 2_000, restMs: REST_MS },
  noDuplicates: true,
};

export const F1: FaultKind = {
  id: 'F1',
  title: 'SIGKILL of the store that leads a partition under load',
  async strike({ cluster, prng }) {
    const queue = pick(prng, ['tasks/+', 'turns/+', 'strict/+', 'spread/+', 'state/+', 'later/+']);
    const name = await cluster.leaderOf(queue);
    await cluster.node(name).kill();
    const downMs = prng.below(4) === 0 ? 0 : prng.below(DOWN_MS_MAX);
    await pause(downMs);
    await cluster.restart(name);
    return `${name}, which led ${queue}, killed, down for ${downMs} ms`;
  },
  keepsHeld: true,
  bounds: { gapMedianMs: 1_500, gapWorstMs: 3_000, resumeMs: 3_000, restMs: REST_MS },
};

export const F2: FaultKind = {
  id: 'F2',
  title: 'SIGKILL of a store that leads nothing',
  async strike({ cluster, prng, healed }) {
    const { name } = pick(prng, cluster.withRole('store'));
    await cluster.wish(name, 'drain');
    await cluster.leadsNothing(name);
    await pause(1_000);
    const fromMs = performance.now();
    await cluster.node(name).kill();
    const downMs = prng.below(DOWN_MS_MAX);
    await pause(downMs);
    await cluster.restart(name);
    const backMs = performance.now();
    await pause(1_000);
    await cluster.wish(name, 'undrain');
    healed();
    return `${name}, drained before, killed, down for ${downMs} ms (${Math.round(fromMs)}-${Math.round(backMs)})`;
  },
  keepsHeld: true,
  bounds: { gapWorstMs: 1_500, resumeMs: 3_000, restMs: REST_MS },
};

export const F3: FaultKind = {
  id: 'F3',
  title: 'SIGKILL of all stores at once',
  async strike({ cluster, prng }) {
    const stores = cluster.withRole('store');
    await Promise.all(stores.map((store) => store.kill()));
    const downMs = prng.below(DOWN_MS_MAX);
    await pause(downMs);
    await Promise.all(stores.map(({ name }) => cluster.restart(name)));
    return `${stores.length} stores killed, down for ${downMs} ms`;
  },
  keepsHeld: true,
  bounds: { resumeMs: 30_000, restMs: 30_000 },
};

export const F4: FaultKind = {
  id: 'F4',
  title: 'SIGKILL of a gateway',
  async strike({ cluster, prng }) {
    const { name } = pick(prng, cluster.gateways());
    await cluster.node(name).kill();
    const downMs = prng.below(DOWN_MS_MAX);
    await pause(downMs);
    await cluster.restart(name);
    return `${name} killed, down for ${downMs} ms`;
  },
  bounds: { gapWorstMs: 3_000, resumeMs: 2_000, restMs: REST_MS },
};

export const F5: FaultKind = {
  id: 'F5',
  title: 'SIGKILL of a coordinator, in every second round of the leading one',
  async strike({ cluster, prng, round }) {
    const leading = await cluster.leadingCoordinator();
    const others = cluster.withRole('coordinator').filter(({ name }) => name !== leading);
    const name = round % 2 === 1 ? leading : pick(prng, others).name;
    await cluster.node(name).kill();
    const downMs = prng.below(DOWN_MS_MAX);
    await pause(downMs);
    await cluster.restart(name);
    return `${name}${name === leading ? ', which led,' : ''} killed, down for ${downMs} ms`;
  },
  keepsHeld: true,
  bounds: { gapWorstMs: 3_000, resumeMs: 3_000, restMs: REST_MS },
};

export const F6: FaultKind = {
  id: 'F6',
  title: 'a leading store freezes (SIGSTOP), and goes on later',
  async strike({ cluster, prng }) {
    const queue = pick(prng, ['tasks/+', 'strict/+', 'spread/+', 'later/+']);
    const name = await cluster.leaderOf(queue);
    cluster.node(name).pause();
    const frozenMs = 1_000 + prng.below(9_000);
    await pause(frozenMs);
    cluster.node(name).resume();
    return `${name}, which led ${queue}, frozen for ${frozenMs} ms`;
  },
  keepsHeld: true,
  bounds: { gapMedianMs: 3_000, gapWorstMs: 5_000, resumeMs: 5_000, restMs: REST_MS },
};
