import { pause } from '../faults/kill-rounds.ts';
import { Consumer, type Load } from '../faults/load.ts';
import { type ClusterUnderTest, patiently } from './cluster-under-test.ts';
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
  keepsHeld: true,
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
  keepsHeld: true,
  bounds: { gapWorstMs: 2_000, resumeMs: 2_000, restMs: 60_000 },
};

/**
 * Of the backlog: more than a log keeps for a member that is silent (16 MiB), and then some. Everything else is heavier and
 * consumed, so that segments are mostly dead: only then is the log's front given back.
 */
const BACKLOG_BYTES = 24 * 1024 * 1024;
const BACKLOG_PAYLOAD_BYTES = 40_000;
const PAYLOAD_BYTES = 60_000;
/** Given back after that, so that the backlog's own log begins behind what is missed. */
const RECLAIMED_BYTES = 8 * 1024 * 1024;
const HEAVY_MS_MAX = 180_000;
const BACKLOG_READ = 20;

export const F24: FaultKind = {
  id: 'F24',
  title: 'a store was away for so long that it needs snapshots; then it alone leads, and the backlog is read from it',
  cluster: { flags: ['--set', 'storage.segmentSize=1MB', '--set', 'mqtt.maximumPacketSize=512KB'] },
  async strike({ cluster, load, prng, beyond }) {
    const { name } = pick(prng, cluster.withRole('store'));
    const others = cluster.withRole('store').filter((store) => store.name !== name);
    await cluster.node(name).kill();
    const missedBytes = await publishMuch(cluster, load, others);
    await cluster.restart(name);
    const backMs = performance.now();
    await cluster.atRest(HEAVY_MS_MAX);
    const caughtUpMs = performance.now() - backMs;
    const snapshots = await cluster.metric(name, 'sluice_raft_snapshots_received_total', 'outcome="installed"');
    if (snapshots === 0) beyond(`${name} got no snapshot: the round proves nothing`);
    for (const other of others) await cluster.wish(other.name, 'drain');
    await patiently(`${name} to lead everything`, performance.now() + MOVE_MS_MAX, async () => {
      const view = await cluster.view(cluster.gateways()[0]?.name as string);
      return view?.partitions.every(({ leader }) => leader === name);
    });
    const reader = new Consumer('later/+#early', 5, 'later/+', cluster.targetOf(0), load.history);
    try {
      await patiently('the backlog to be read', performance.now() + MOVE_MS_MAX, async () => {
        const depth = (await load.figures(cluster.rest(name))).get('later/+')?.depth_messages;
        return depth !== undefined && depth < BACKLOG_READ;
      });
    } finally {
      reader.end();
    }
    for (const other of others) await cluster.wish(other.name, 'undrain');
    return `${name} missed ${Math.round(missedBytes / 1e6)} MB of the backlog and more of the rest, got ${snapshots} snapshots, led again after ${Math.round(caughtUpMs)} ms, and the backlog was read from it`;
  },
  keepsHeld: true,
  bounds: { gapWorstMs: 5_000, resumeMs: 5_000, restMs: 60_000 },
};

/** Returns how much of it is the backlog's. */
async function publishMuch(
  cluster: ClusterUnderTest,
  load: Load,
  stores: readonly { name: string }[],
): Promise<number> {
  const reclaimed = async () => {
    const counts = stores.map(({ name }) => cluster.metric(name, 'sluice_storage_reclaimed_bytes_total'));
    return Math.min(...(await Promise.all(counts)));
  };
  const fromMs = performance.now();
  load.weigh('', PAYLOAD_BYTES);
  load.weigh('later/', BACKLOG_PAYLOAD_BYTES);
  let bytes = 0;
  await patiently('the backlog to grow', fromMs + HEAVY_MS_MAX, async () => {
    let count = 0;
    for (const { topic, outcome, sentAtMs = 0 } of load.history.published.values()) {
      if (outcome === 'ok' && sentAtMs > fromMs && topic.startsWith('later/')) count++;
    }
    bytes = count * BACKLOG_PAYLOAD_BYTES;
    return bytes >= BACKLOG_BYTES;
  });
  const before = await reclaimed();
  await patiently('its place in the log to be given back', performance.now() + HEAVY_MS_MAX, async () => {
    return (await reclaimed()) - before >= RECLAIMED_BYTES;
  });
  load.weigh('', undefined);
  return bytes;
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
