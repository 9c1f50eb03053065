import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { LAYOUTS } from '../../deploy/local-cluster.mjs';
import { wholeNumber } from '../harness/whole-number.mjs';
import { BrokerCluster, sum } from './broker-cluster.mjs';
import { until } from './client.mjs';
import { Figures, MB } from './figures.mjs';

/**
 * Many queues that do nothing, in a cluster of processes: what they cost while they wait, what one more costs as they
 * grow in number, and how long a node that starts again, and the others without it, need because of them.
 *
 *   npm run load:queues -- [--queues N] [--layout compact|tiers] [--concurrency N] [--profile FOLDER]
 *
 * With a profile the figures are no good: sampling costs more than the nodes do.
 */
const options = new Command('npm run load:queues --')
  .description('many queues that do nothing, on a cluster: what they cost')
  .option('--queues <N>', 'how many', wholeNumber(), 100_000)
  .addOption(new Option('--layout <NAME>', 'which processes').choices(Object.keys(LAYOUTS)).default('compact'))
  .option('--concurrency <N>', 'requests at one time', wholeNumber(), 8)
  .option('--profile <FOLDER>', 'a profile of each broker process is left there')
  .parse()
  .opts();
const { queues: COUNT, concurrency: CONCURRENCY } = options;
/** What is created alone, one after the other, is created at every so many queues. */
const STEP = 10_000;
const ALONE = 50;
const IDLE_LOOK_MS = 10_000;
const IDLE_LOOKS = 9;
const QUIET_MS_MAX = 180_000;
const QUIET_LOOK_MS = 10_000;

const IDLE_PERCENT = 10;
const CREATE_MS = 50;
/** As many as can be told apart from the noise of a restart without queues. */
const READY_S = 10;
const QUEUE_BYTES = 5 * 1024;
const PAGE_BYTES = MB;

const folder = await mkdtemp(join(process.env.SLUICE_LOAD_DIR ?? tmpdir(), 'sluice-queues-'));
const figures = new Figures();
const cluster = new BrokerCluster(folder, {
  profileFolder: options.profile,
  flags: ['--set', `queues.maxCount=${COUNT * 2 + STEP}`],
});
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const definition = (i) => ({
  topic_filter: `device/${i}/commands`,
  dispatch_strategy: 'round_robin',
  is_lastvalue: false,
});
const quantile = (values, share) => {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
};

/** Processor time of each node, in hundredths of one core, over a while. */
async function usedPercents(ms) {
  const startedMs = performance.now();
  const before = await cluster.cpuMs();
  await pause(ms);
  const after = await cluster.cpuMs();
  return after.map((at, i) => ((at - before[i]) / (performance.now() - startedMs)) * 100);
}

/**
 * Of processes that do nothing: the middle one of several looks. Garbage of what was done before is collected once, at some
 * moment of a minute or two, and takes a process as long as half a minute of doing nothing.
 */
async function idlePercents() {
  const looks = [];
  for (let n = 0; n < IDLE_LOOKS; n++) looks.push(await usedPercents(IDLE_LOOK_MS));
  return looks.sort((a, b) => sum(a) - sum(b))[IDLE_LOOKS >> 1];
}

/**
 * What creating many, or a start, left to be done is done: tables are compacted, images taken, garbage of a hundred
 * thousand commands collected. One look at a time does not show that; that it becomes no less does.
 */
async function quiet() {
  const endMs = performance.now() + QUIET_MS_MAX;
  for (let before = Number.POSITIVE_INFINITY; performance.now() < endMs; ) {
    const now = sum(await usedPercents(QUIET_LOOK_MS));
    if (now > before * 0.9) return;
    before = now;
  }
}

let created = 0;
let late = 0;

/** One answered request after the other in each of so many lines. */
async function create(count, concurrency) {
  const tookMs = [];
  const end = created + count;
  const startedMs = performance.now();
  const line = async (at) => {
    while (created < end) {
      const i = created++;
      const beganMs = performance.now();
      const queue = await cluster.createQueue(definition(i), cluster.running[at % cluster.running.length]);
      if (queue === undefined) late++;
      tookMs.push(performance.now() - beganMs);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, (_, at) => line(at)));
  return { tookMs, seconds: (performance.now() - startedMs) / 1000 };
}

/** One at a time, and what that takes of the processor beyond what the nodes take anyhow. */
async function createAlone(count) {
  const before = sum(await cluster.cpuMs());
  const { tookMs } = await create(count, 1);
  return { tookMs, cpuMs: (sum(await cluster.cpuMs()) - before) / count };
}

const leaderOf = async (name) => (await cluster.view()).partitions.filter(({ leader }) => leader === name).length;

async function startAgain(victim, after) {
  const startedMs = performance.now();
  await victim.start();
  figures.below(`${after} to ready`, (performance.now() - startedMs) / 1000, 's', READY_S);
}

try {
  await cluster.start(LAYOUTS[options.layout]);
  await until('every partition is led', () => cluster.settled(), 30_000);
  await quiet();
  const empty = await cluster.rssBytes();
  figures.note('resident, without queues', cluster.byNode(empty.map((bytes) => bytes / MB)), 'MB');
  const idleEmpty = await idlePercents();
  figures.note('idle without queues, all processes', sum(idleEmpty), '%');
  figures.note('  by process', cluster.byNode(idleEmpty, 1), '%');
  const first = await createAlone(ALONE);
  figures.note(`one more at ${created} queues, p50`, quantile(first.tookMs, 0.5), 'ms');

  let seconds = 0;
  let last = first;
  const beganCpuMs = sum(await cluster.cpuMs());
  while (created < COUNT) {
    const count = Math.min(STEP, COUNT - created);
    const bulk = await create(count, CONCURRENCY);
    seconds += bulk.seconds;
    last = await createAlone(ALONE);
    const p = (values, share) => quantile(values, share).toFixed(1);
    console.log(
      `  ${created} queues: ${count} more in ${bulk.seconds.toFixed(1)} s by ${CONCURRENCY} ` +
        `(p50 ${p(bulk.tookMs, 0.5)} ms, p99 ${p(bulk.tookMs, 0.99)} ms), alone p50 ${p(last.tookMs, 0.5)} ms, ` +
        `p99 ${p(last.tookMs, 0.99)} ms, ${last.cpuMs.toFixed(1)} ms of processor each`,
    );
  }
  figures.note(`${created} queues created, ${CONCURRENCY} at a time`, seconds, 's');
  figures.note('  processor time a queue, all processes', (sum(await cluster.cpuMs()) - beganCpuMs) / created, 'ms');
  figures.equal('  answered before every node acted on them', late, 0);
  await quiet();
  if (options.profile !== undefined) cluster.restartProfiles();
  const idle = await idlePercents();
  figures.below(`idle with ${created} queues, all processes`, sum(idle), '%', IDLE_PERCENT);
  figures.note('  by process', cluster.byNode(idle, 1), '%');
  figures.below(`one more at ${created} queues, p50`, quantile(last.tookMs, 0.5), 'ms', CREATE_MS);
  figures.note('  p99', quantile(last.tookMs, 0.99), 'ms');

  const full = await cluster.rssBytes();
  const grown = full.map((bytes, i) => (bytes - empty[i]) / created);
  figures.note('resident', cluster.byNode(full.map((bytes) => bytes / MB)), 'MB');
  figures.note('  a queue, by process', cluster.byNode(grown), 'bytes');
  figures.below('  a queue, in the largest process', Math.max(...grown), 'bytes', QUEUE_BYTES);
  const heaps = await cluster.metric(/^sluice_process_heap_bytes\{kind="used"\}/);
  figures.note('heap in use, garbage included', cluster.byNode(heaps.map((bytes) => bytes / MB)), 'MB');

  const before = sum(await cluster.cpuMs());
  const pages = await Promise.all(cluster.running.map(({ http }) => fetch(`http://${http}/metrics`)));
  const sizes = await Promise.all(pages.map(async (page) => (await page.text()).length));
  figures.below('largest page of metrics', Math.max(...sizes), 'bytes', PAGE_BYTES);
  figures.note('  processor time of a page', (sum(await cluster.cpuMs()) - before) / pages.length, 'ms');

  const victim = cluster.nodes.findLast(({ roles }) => roles.includes('store'));
  const at = cluster.nodes.indexOf(victim);
  figures.note(`partitions that ${victim.name} leads`, await leaderOf(victim.name));
  const stoppedMs = performance.now();
  await victim.stop();
  figures.note('stopped in order', (performance.now() - stoppedMs) / 1000, 's');
  await startAgain(victim, 'started after a stop');
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
  await startAgain(victim, 'started after a kill');
  await until('it leads its share again', async () => (await leaderOf(victim.name)) > 3, 120_000);
  await quiet();
  const again = (await cluster.rssBytes())[at];
  figures.note(`resident of ${victim.name} after its start`, again / MB, 'MB');
  figures.below('  a queue', (again - empty[at]) / created, 'bytes', QUEUE_BYTES);
  await cluster.stop();
} finally {
  await cluster.killAll();
  await rm(folder, { recursive: true, force: true });
}
figures.finish();
