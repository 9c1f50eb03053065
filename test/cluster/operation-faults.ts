import { pause } from '../faults/kill-rounds.ts';
import { patiently } from './cluster-under-test.ts';
import { type FaultKind, pick } from './fault.ts';

const QUEUES = ['tasks/+', 'strict/+', 'spread/+', 'later/+'];
const STORM_MS = 10_000;
const MOVE_MS_MAX = 90_000;
const ENTRIES_BEHIND = 3_000;

export const F22: FaultKind = {
  id: 'F22',
  title: 'a store is added, and one leaves, while another is killed',
  async strike({ cluster, prng, round }) {
    const added = `store-${3 + round}`;
    await cluster.add(added, 'store');
    const leaving = await cluster.leaderOf(pick(prng, QUEUES));
    await cluster.wish(leaving, 'leave');
    const others = cluster.withRole('store').filter(({ name, isRunning }) => isRunning && name !== leaving);
    await pause(prng.below(3_000));
    const { name: killed } = pick(prng, others);
    await cluster.node(killed).kill();
    await pause(prng.below(2_000));
    await cluster.restart(killed);
    await patiently(`nothing to be left on ${leaving}`, performance.now() + MOVE_MS_MAX, async () => {
      const view = await cluster.view(cluster.gateways()[0]?.name as string);
      return view?.partitions.every(
        ({ replicas, leader }) => !replicas.includes(leaving) && leader !== null && leader !== leaving,
      );
    });
    await cluster.retire(leaving);
    return `${added} added, ${leaving} left, ${killed} killed meanwhile`;
  },
  bounds: { gapWorstMs: 6_000, resumeMs: 5_000, restMs: 60_000 },
};

export const F23: FaultKind = {
  id: 'F23',
  title: 'leadership is moved over and over: stores are drained in turn',
  async strike({ cluster }) {
    const stores = cluster.withRole('store').map(({ name }) => name);
    const untilMs = performance.now() + STORM_MS;
    let moves = 0;
    for (; performance.now() < untilMs; moves++) {
      const name = stores[moves % stores.length] as string;
      await cluster.wish(name, 'drain');
      await pause(1_500);
      await cluster.wish(name, 'undrain');
    }
    return `${moves} times a store was drained and taken back`;
  },
  bounds: { gapWorstMs: 2_000, resumeMs: 2_000, restMs: 60_000 },
};

export const F24: FaultKind = {
  id: 'F24',
  title: 'a store was away for so long that it needs a snapshot',
  cluster: { flags: ['--set', 'storage.segmentSize=1MB', '--set', 'mqtt.maximumPacketSize=512KB'] },
  async strike({ cluster, load, prng }) {
    const { name } = pick(prng, cluster.withRole('store'));
    await cluster.node(name).kill();
    const target = load.acknowledged + ENTRIES_BEHIND;
    await patiently('much to be published', performance.now() + MOVE_MS_MAX, async () => load.acknowledged >= target);
    await cluster.restart(name);
    const behindMs = performance.now();
    await cluster.atRest(MOVE_MS_MAX);
    const snapshots = await cluster.metric(name, 'sluice_raft_snapshots_received_total', 'outcome="installed"');
    return `${name} missed ${ENTRIES_BEHIND} messages, got ${snapshots} snapshots, led again after ${Math.round(performance.now() - behindMs)} ms`;
  },
  bounds: { gapWorstMs: 5_000, resumeMs: 5_000, restMs: 60_000 },
};

export const F25: FaultKind = {
  id: 'F25',
  title: 'rolling restart of all nodes (SIGTERM), one after the other',
  async strike({ cluster }) {
    const slow: string[] = [];
    for (const { name } of cluster.nodes) {
      const { code } = await cluster.node(name).stop();
      if (code !== 0) slow.push(`${name} ended with ${code}`);
      await cluster.restart(name);
      await cluster.atRest(MOVE_MS_MAX);
    }
    return `all nodes restarted${slow.length > 0 ? `; ${slow.join(', ')}` : ''}`;
  },
  bounds: { gapWorstMs: 3_000, resumeMs: 3_000, restMs: 30_000 },
};
