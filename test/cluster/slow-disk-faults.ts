import { pause } from '../faults/kill-rounds.ts';
import type { Load } from '../faults/load.ts';
import { delaySyncs, STRACE } from '../faults/sync-faults.ts';
import { patiently } from './cluster-under-test.ts';
import { type FaultKind, pick } from './fault.ts';

const QUEUES = ['tasks/+', 'strict/+', 'spread/+', 'later/+'];
const SLOW_MS = 10_000;
const HUNG_MS = 30_000;
/** Of what was published as long before. */
const SHARE_MIN = 0.8;
const REPLACED_MS_MAX = 5_000;
const WAIT_MS = 60_000;

/** Each round another. */
const SLOWNESS = [
  { leads: false, ms: 20 },
  { leads: false, ms: 100 },
  { leads: true, ms: 20 },
  { leads: true, ms: 100 },
] as const;

export const F17: FaultKind = {
  id: 'F17',
  title: 'the disk of one store is slow: of one that leads nothing, or of a leader',
  needs: [STRACE],
  async strike({ cluster, load, prng, round, beyond, healed }) {
    const { leads, ms } = SLOWNESS[(round - 1) % SLOWNESS.length] as (typeof SLOWNESS)[number];
    const name = leads ? await cluster.leaderOf(pick(prng, QUEUES)) : pick(prng, cluster.withRole('store')).name;
    if (!leads) {
      await cluster.wish(name, 'drain');
      await cluster.leadsNothing(name);
    }
    const before = await acknowledgedWhile(load, SLOW_MS);
    const quicken = await delaySyncs(cluster.node(name).pid as number, ms);
    const meanwhile = await acknowledgedWhile(load, SLOW_MS);
    await quicken();
    healed();
    if (!leads) await cluster.wish(name, 'undrain');
    const share = meanwhile / before;
    if (!leads && share < SHARE_MIN)
      beyond(`with a slow follower ${Math.round(100 * share)} % of what was before: ${100 * SHARE_MIN} % are promised`);
    return `each sync of ${name}, which ${leads ? 'led' : 'led nothing'}, took ${ms} ms longer for ${SLOW_MS / 1_000} s: ${meanwhile} acknowledged, ${before} in as long before`;
  },
  keepsHeld: true,
  bounds: { gapWorstMs: 10_000, resumeMs: 3_000, restMs: 60_000 },
};

export const F18: FaultKind = {
  id: 'F18',
  title: 'the disk of a leading store hangs for 30 s',
  needs: [STRACE],
  async strike({ cluster, prng, beyond }) {
    const queue = pick(prng, QUEUES);
    const name = await cluster.leaderOf(queue);
    const fromMs = performance.now();
    const thaw = await delaySyncs(cluster.node(name).pid as number, 2 * HUNG_MS);
    let replacedMs = 0;
    try {
      await patiently(`others to lead instead of ${name}`, fromMs + HUNG_MS, async () => {
        return (await cluster.leaderOf(queue)) !== name;
      });
      replacedMs = performance.now() - fromMs;
      await pause(Math.max(0, HUNG_MS - replacedMs));
    } finally {
      await thaw();
    }
    if (replacedMs > REPLACED_MS_MAX) beyond(`${name} was replaced after ${Math.round(replacedMs)} ms only`);
    await patiently(`${name} to be heard again`, performance.now() + WAIT_MS, async () => {
      const view = await cluster.view(cluster.gateways()[0]?.name as string);
      return view?.nodes.some(({ node, alive }) => node === name && alive);
    });
    return `the disk of ${name}, which led ${queue}, hung for ${HUNG_MS / 1_000} s, another led after ${Math.round(replacedMs)} ms`;
  },
  keepsHeld: true,
  bounds: { gapWorstMs: 8_000, resumeMs: 5_000, restMs: 60_000 },
};

async function acknowledgedWhile(load: Load, ms: number): Promise<number> {
  const before = load.acknowledged;
  const fromMs = performance.now();
  await pause(ms);
  return Math.round(((load.acknowledged - before) * ms) / (performance.now() - fromMs));
}
