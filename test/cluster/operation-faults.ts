import { pause } from '../faults/kill-rounds.ts';
import type { Load } from '../faults/load.ts';
import { patiently } from './cluster-under-test.ts';
import { type FaultKind, pick } from './fault.ts';

const QUEUES = ['tasks/+', 'strict/+', 'spread/+', 'later/+'];
const STORM_MS = 10_000;
const MOVE_MS_MAX = 90_000;

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

/** Beyond what a log keeps for a member that is silent (`SnapshotRetention.SILENT_LAG_BYTES_MAX`), twice. */
const MISSED_BYTES = 32 * 1024 * 1024;
const HEAVY_BYTES = 60_000;
const HEAVY = 'tasks/';
/** Of the space that what was missed had taken: then the log begins behind it. */
const RECLAIMED_BYTES_MIN = 8 * 1024 * 1024;

export const F24: FaultKind = {
  id: 'F24',
  title: 'a store was away for so long that it needs a snapshot; then it alone leads, and everything is read from it',
  cluster: { flags: ['--set', 'storage.segmentSize=1MB', '--set', 'mqtt.maximumPacketSize=512KB'] },
  async strike({ cluster, load, prng, beyond }) {
    const { name } = pick(prng, cluster.withRole('store'));
    const others = cluster.withRole('store').filter((store) => store.name !== name);
    const reclaimed = async () =>
      Math.min(...(await Promise.all(others.map((store) => cluster.metric(store.name, RECLAIMED)))));
    await cluster.node(name).kill();
    const before = await reclaimed();
    load.weigh(HEAVY, HEAVY_BYTES);
    const fromMs = performance.now();
    const missed = () => heavySince(load, fromMs) * HEAVY_BYTES;
    await patiently('much to be published, and its space to be given back', fromMs + MOVE_MS_MAX, async () => {
      return missed() >= MISSED_BYTES && (await reclaimed()) - before >= RECLAIMED_BYTES_MIN;
    });
    load.weigh(HEAVY, undefined);
    await cluster.restart(name);
    const backMs = performance.now();
    await cluster.atRest(MOVE_MS_MAX);
    const caughtUpMs = performance.now() - backMs;
    const snapshots = await cluster.metric(name, 'sluice_raft_snapshots_received_total', 'outcome="installed"');
    if (snapshots === 0) beyond(`${name} got no snapshot: the round proves nothing`);
    for (const other of others) await cluster.wish(other.name, 'drain');
    await patiently(`${name} to lead everything`, performance.now() + MOVE_MS_MAX, async () => {
      const view = await cluster.view(cluster.gateways()[0]?.name as string);
      return view?.partitions.every(({ leader }) => leader === name);
    });
    await load.drain(() => cluster.rest(cluster.gateways()[0]?.name as string), MOVE_MS_MAX);
    for (const other of others) await cluster.wish(other.name, 'undrain');
    load.start();
    return `${name} missed ${Math.round(missed() / 1e6)} MB, got ${snapshots} snapshots, led again after ${Math.round(caughtUpMs)} ms, and then everything was read from it`;
  },
  bounds: { resumeMs: 5_000, restMs: 60_000 },
};

const RECLAIMED = 'sluice_storage_reclaimed_bytes_total';

function heavySince({ history }: Load, fromMs: number): number {
  let count = 0;
  for (const { topic, outcome, sentAtMs = 0 } of history.published.values()) {
    if (outcome === 'ok' && sentAtMs > fromMs && topic.startsWith(HEAVY)) count++;
  }
  return count;
}

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
