import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { BrokerCluster, sum } from './broker-cluster.mjs';
import { until } from './client.mjs';
import { Figures, MB } from './figures.mjs';

/**
 * Many queues that do nothing, on three compact nodes: what they cost while they wait, what one more costs, and how long
 * a node that starts again, and the others without it, need because of them.
 *
 *   npm run load:queues -- [--queues N] [--concurrency N] [--profile FOLDER]
 */
const { values: options } = parseArgs({
  options: {
    queues: { type: 'string', default: '100000' },
    concurrency: { type: 'string', default: '128' },
    profile: { type: 'string' },
  },
});
const COUNT = Number(options.queues);
const CONCURRENCY = Number(options.concurrency);
const MORE = 50;
const IDLE_MS = 60_000;
const QUIET_MS_MAX = 120_000;

const folder = await mkdtemp(join(process.env.SLUICE_LOAD_DIR ?? tmpdir(), 'sluice-queues-'));
const figures = new Figures();
const cluster = new BrokerCluster(folder, { profileFolder: options.profile });
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const perNodeMb = async () => (await cluster.rssBytes()).map((bytes) => Math.round(bytes / MB)).join(' ');
const definition = (i) => ({
  topic_filter: `device/${i}/commands`,
  dispatch_strategy: 'round_robin',
  is_lastvalue: false,
});

/** Processor time of all nodes together, as a share of one core, over a while. */
async function usedShare(ms) {
  const startedMs = performance.now();
  const before = sum(await cluster.cpuMs());
  await pause(ms);
  return (sum(await cluster.cpuMs()) - before) / (performance.now() - startedMs);
}

/** What creating many left to be done is done. */
async function quiet() {
  const endMs = performance.now() + QUIET_MS_MAX;
  while ((await usedShare(2000)) > 0.15 && performance.now() < endMs);
}

async function create(first, count, concurrency) {
  const tookMs = [];
  let next = first;
  const startedMs = performance.now();
  let toldMs = startedMs;
  const worker = async (at) => {
    while (next < first + count) {
      const i = next++;
      const beganMs = performance.now();
      await cluster.createQueue(definition(i), cluster.running[at % cluster.running.length]);
      tookMs.push(performance.now() - beganMs);
      if (performance.now() - toldMs < 10_000) continue;
      toldMs = performance.now();
      console.log(`  ${i} queues after ${((toldMs - startedMs) / 1000).toFixed(0)} s`);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, (_, at) => worker(at)));
  return { tookMs: tookMs.sort((a, b) => a - b), seconds: (performance.now() - startedMs) / 1000 };
}

const quantile = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;

try {
  await cluster.start();
  await until('every partition is led', () => cluster.settled(), 30_000);
  figures.note('resident of each node, empty', await perNodeMb(), 'MB');
  await quiet();
  figures.note('idle without queues, all nodes together', (await usedShare(IDLE_MS / 4)) * 100, '%');

  let cpuMs = sum(await cluster.cpuMs());
  const made = await create(0, COUNT, CONCURRENCY);
  figures.note(`${COUNT} queues created`, made.seconds, 's');
  figures.note('  CPU a queue, all nodes together', (sum(await cluster.cpuMs()) - cpuMs) / COUNT, 'ms');
  await quiet();
  figures.note('resident of each node', await perNodeMb(), 'MB');
  if (options.profile !== undefined) cluster.restartProfiles();
  figures.below('idle, all nodes together', (await usedShare(IDLE_MS)) * 100, '%', 10);

  cpuMs = sum(await cluster.cpuMs());
  const more = await create(COUNT, MORE, 1);
  figures.below('one more, median', quantile(more.tookMs, 0.5), 'ms', 50);
  figures.note('  99 %', quantile(more.tookMs, 0.99), 'ms');
  figures.note('  CPU each, all nodes together', (sum(await cluster.cpuMs()) - cpuMs) / MORE, 'ms');

  const leaderOf = async (id) => (await cluster.view()).partitions.filter(({ leader }) => leader === id).length;
  const victim = cluster.nodes.at(-1);
  figures.note(`partitions that ${victim.name} leads`, await leaderOf(victim.name));
  const stoppedMs = performance.now();
  await victim.stop();
  figures.note('stopped in order', (performance.now() - stoppedMs) / 1000, 's');
  const startedMs = performance.now();
  await victim.start();
  figures.note('started again to ready', (performance.now() - startedMs) / 1000, 's');
  await until('it leads its share again', async () => (await leaderOf(victim.name)) > 3, 120_000);
  await quiet();
  const killedMs = performance.now();
  await victim.kill();
  await until(
    'its partitions are led by others',
    async () => (await cluster.view()).partitions.every(({ leader }) => leader && leader !== victim.name),
    60_000,
  );
  figures.note('killed until others lead its partitions', (performance.now() - killedMs) / 1000, 's');
  const againMs = performance.now();
  await victim.start();
  figures.note('started after the kill to ready', (performance.now() - againMs) / 1000, 's');
  await cluster.stop();
} finally {
  await cluster.killAll();
  await rm(folder, { recursive: true, force: true });
}
figures.finish();
