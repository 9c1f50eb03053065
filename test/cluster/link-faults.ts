import { pause } from '../faults/kill-rounds.ts';
import type { ClusterUnderTest } from './cluster-under-test.ts';
import { type Arena, type FaultKind, networksOf, pick } from './fault.ts';
import { BAD_LINKS, type Disturbance, NETWORKS } from './node-networks.ts';

const DISTURBED_MS = 20_000;
const STORM_MS = 8_000;
const RESETS_EVERY_MS = 400;
const MINUTE_MS = 60_000;

interface Weather extends Disturbance {
  what: string;
  /** The longest that nobody at all may go without an acknowledgement. */
  stillMs: number;
  /** At most one election a group and minute; what is worse than this may make more of them. */
  isCalmEnough?: boolean;
}

/** Each round another; the first is what every network should be expected to do now and then. */
const WEATHER: readonly Weather[] = [
  { what: '5 % lost, 100 ms late', loss: 0.05, delayMs: 100, jitterMs: 20, stillMs: 5_000, isCalmEnough: true },
  { what: '30 % lost', loss: 0.3, stillMs: 10_000 },
  {
    what: '200 ms late, 5 % overtake, 5 % come twice',
    ...{ delayMs: 200, jitterMs: 50, reorder: 0.05, duplicate: 0.05 },
    ...{ stillMs: 5_000, isCalmEnough: true },
  },
  {
    what: '10 % lost, 50 ms late, 2 % damaged, 10 % overtake',
    ...{ loss: 0.1, delayMs: 50, jitterMs: 30, corrupt: 0.02, reorder: 0.1, duplicate: 0.02, stillMs: 8_000 },
  },
];

export const F10: FaultKind = {
  id: 'F10',
  title: 'links between all nodes lose, delay, reorder, duplicate and damage packets',
  needs: [NETWORKS, BAD_LINKS],
  cluster: { networks: true },
  async strike(arena) {
    const { cluster, load, prng, round } = arena;
    const networks = networksOf(cluster);
    const { what, stillMs, isCalmEnough, ...disturbance } = WEATHER[(round - 1) % WEATHER.length] as Weather;
    const before = await electionsOf(cluster);
    const fromMs = performance.now();
    await networks.disturb(disturbance, prng.below(2 ** 31));
    const longestMs = await longestStandstill(arena, DISTURBED_MS);
    const acknowledged = [...load.history.published.values()].filter(
      ({ outcome, answeredAtMs = 0 }) => outcome === 'ok' && answeredAtMs >= fromMs,
    ).length;
    const done = await networks.calm();
    const tookMs = performance.now() - fromMs;
    const elections = (await electionsOf(cluster)) - before;
    const groups = ((await cluster.view(cluster.gateways()[0]?.name as string))?.partitions.length ?? 16) + 1;
    const allowed = Math.ceil((groups * tookMs) / MINUTE_MS);
    if (isCalmEnough && elections > allowed)
      arena.beyond(
        `${elections} elections of ${groups} groups in ${Math.round(tookMs / 1_000)} s: ${allowed} are allowed`,
      );
    if (longestMs > stillMs)
      arena.beyond(`nobody got an answer for ${Math.round(longestMs)} ms: ${stillMs} are allowed`);
    const packets = Object.entries(done).map(([kind, count]) => `${count} ${kind}`);
    return `${what} for ${Math.round(tookMs / 1_000)} s (${packets.join(', ')}): ${acknowledged} acknowledged meanwhile, nobody for at most ${Math.round(longestMs)} ms, ${elections} elections`;
  },
  bounds: { resumeMs: 5_000, restMs: 30_000 },
};

export const F11: FaultKind = {
  id: 'F11',
  title: 'live connections are reset, over and over, of nodes and clients alike',
  needs: [NETWORKS],
  cluster: { networks: true },
  async strike({ cluster, load, prng }) {
    const networks = networksOf(cluster);
    const untilMs = performance.now() + STORM_MS;
    let times = 0;
    let connections = 0;
    for (; performance.now() < untilMs; times++) {
      const fromMs = performance.now();
      connections += await networks.reset(pick(prng, cluster.nodes).name);
      // Each is a fault by itself: what a client held then may come again.
      load.fault('reset', fromMs);
      await pause(RESETS_EVERY_MS);
    }
    if (connections === 0) throw new Error('no connection was reset: the test proves nothing');
    return `${times} times all connections of a node were reset, ${connections} in all`;
  },
  bounds: { gapWorstMs: 10_000, resumeMs: 5_000, restMs: 30_000 },
};

/** Waits, and says for how long at most nobody at all got an answer meanwhile. */
async function longestStandstill({ load }: Arena, forMs: number): Promise<number> {
  const { lastOkMs } = load.history;
  const untilMs = performance.now() + forMs;
  let newestMs = performance.now();
  let longestMs = 0;
  for (let nowMs = newestMs; nowMs < untilMs; nowMs = performance.now()) {
    await pause(100);
    newestMs = Math.max(newestMs, ...lastOkMs.values());
    longestMs = Math.max(longestMs, performance.now() - newestMs);
  }
  return longestMs;
}

/** Over all nodes that have groups. */
async function electionsOf(cluster: ClusterUnderTest): Promise<number> {
  const nodes = cluster.nodes.filter(({ roles }) => roles.some((role) => role !== 'gateway'));
  const counts = await Promise.all(nodes.map(({ name }) => cluster.metric(name, 'sluice_raft_elections_total')));
  return counts.reduce((sum, count) => sum + count, 0);
}
