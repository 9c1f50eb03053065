import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { LAYOUTS } from '../../deploy/local-cluster.mjs';
import { wholeNumber } from '../harness/whole-number.mjs';
import { addressOf, BrokerCluster, sum } from './broker-cluster.mjs';
import { Retainer, until, Visitor } from './client.mjs';
import { Figures, MB, memoryBelow, ROOM_MB } from './figures.mjs';

/**
 * Many topics that keep a value, over three processes: memory and disk, what a wildcard over a few and over all of them
 * costs those who serve it, and how long a node that starts again needs because of them.
 *
 *   npm run load:retained -- [--topics N] [--concurrency N] [--profile FOLDER]
 */
const options = new Command('npm run load:retained --')
  .description('many topics that keep a value, on three nodes')
  .option('--topics <N>', 'how many', wholeNumber(), 1_000_000)
  .option('--concurrency <N>', 'publishers at one time', wholeNumber(), 8)
  .option('--profile <FOLDER>', 'a profile of each broker process is left there')
  .parse()
  .opts();
const { topics: COUNT, concurrency: CONCURRENCY } = options;
const PER_SITE = 1_000;
const STEP = 50_000;
const PAYLOAD = Buffer.from('{"temperature":21.5,"humidity":48,"at":1763600000}');
const QUIET_MS_MAX = 60_000;

/** Of each that is kept, alive in memory: it is rows, and next to nothing. */
const TOPIC_BYTES = 16;
/** A page for each subscription that is read, whatever the number of topics; the rest is garbage. */
const READING_MB = ROOM_MB;
const SITE_MS = 1_000;
const READY_S = 10;
const DISK_BYTES = 400;

const folder = await mkdtemp(join(process.env.SLUICE_LOAD_DIR ?? tmpdir(), 'sluice-retained-'));
const figures = new Figures();
const cluster = new BrokerCluster(folder, {
  collects: true,
  profileFolder: options.profile,
  // The bound is kept by partition, and topics do not fall evenly.
  flags: ['--set', `retained.maxCount=${COUNT * 2}`],
});
const topicOf = (i) => `site/${Math.floor(i / PER_SITE)}/sensor/${i % PER_SITE}`;

function* topics(from, to, step) {
  for (let i = from; i < to; i += step) yield topicOf(i);
}

async function fill() {
  let cutOff = 0;
  const startedMs = performance.now();
  const beforeMs = sum(await cluster.cpuMs());
  for (let at = 0; at < COUNT; at += STEP) {
    const end = Math.min(at + STEP, COUNT);
    const cut = await Promise.all(
      Array.from({ length: CONCURRENCY }, (_, line) =>
        Retainer.fill(cluster.balanced, `retainer-${at}-${line}`, topics(at + line, end, CONCURRENCY), PAYLOAD),
      ),
    );
    cutOff += sum(cut);
    console.log(`  ${end} topics, ${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
  }
  figures.note('processor time a message, all processes', (sum(await cluster.cpuMs()) - beforeMs) / COUNT, 'ms');
  figures.note('publishers that were cut off and came again', cutOff);
}

/** All that matches a filter, at a node; how long it took, and the most memory that one process had meanwhile. */
async function read(address, filter, count, withinMs) {
  const before = await cluster.rssBytes();
  const beforeMs = sum(await cluster.cpuMs());
  let highest = 0;
  const look = async () => {
    const now = await cluster.rssBytes();
    highest = Math.max(highest, ...now.map((bytes, i) => bytes - before[i]));
  };
  const timer = setInterval(look, 200);
  const startedMs = performance.now();
  const reader = new Visitor();
  await reader.connect(address, `reader-${filter}`);
  await reader.want(filter);
  await until(`${count} retained messages of ${filter}`, () => reader.received >= count, withinMs, 5);
  const ms = performance.now() - startedMs;
  clearInterval(timer);
  await look();
  reader.close();
  return { ms, received: reader.received, grownMb: highest / MB, cpuMs: sum(await cluster.cpuMs()) - beforeMs };
}

async function startAgain(victim, after) {
  const startedMs = performance.now();
  await victim.start();
  figures.below(`${after} to ready`, (performance.now() - startedMs) / 1000, 's', READY_S);
  const { received } = await read(addressOf(victim.mqtt), 'site/0/#', Math.min(PER_SITE, COUNT), 60_000);
  figures.below('  until a wildcard is answered there', (performance.now() - startedMs) / 1000, 's', READY_S);
  figures.equal('  messages', received, Math.min(PER_SITE, COUNT));
}

try {
  await cluster.start(LAYOUTS.compact);
  await until('every partition is led', () => cluster.settled(), 30_000);
  // What the first ten thousand messages make of a process is not what the others add.
  await Retainer.fill(
    cluster.balanced,
    'first',
    Array.from({ length: 10_000 }, (_, i) => `first/${i % 100}`),
    PAYLOAD,
  );
  const empty = await cluster.memory(QUIET_MS_MAX);
  const emptyDisk = (await cluster.diskBytes()).map(({ total }) => total);
  const bytes = COUNT * TOPIC_BYTES;
  memoryBelow(figures, cluster, 'a hundred', { now: await cluster.memory(QUIET_MS_MAX), before: empty, bytes: 0 });
  await fill();
  memoryBelow(figures, cluster, `${COUNT} topics`, { now: await cluster.memory(QUIET_MS_MAX), before: empty, bytes });
  const disk = (await cluster.diskBytes()).map(({ total }, i) => (total - emptyDisk[i]) / COUNT);
  figures.below('disk, a topic, by process', Math.max(...disk), 'bytes', DISK_BYTES);
  const kept = sum(await cluster.metric(/^sluice_retained_messages/));
  figures.equal('messages kept', kept, COUNT + 100);

  const [at] = cluster.gateways;
  const site = await read(at, 'site/0/#', Math.min(PER_SITE, COUNT), 60_000);
  figures.below(`a wildcard over ${site.received} of them`, site.ms, 'ms', SITE_MS);
  figures.note('  processor time, all processes', site.cpuMs, 'ms');
  const all = await read(at, 'site/#', COUNT, 600_000);
  figures.equal('a wildcard over all: messages', all.received, COUNT);
  figures.note('  a second', all.received / (all.ms / 1000));
  figures.note('  processor time a message, all processes', (all.cpuMs * 1000) / all.received, 'us');
  figures.below('  resident above before, largest process', all.grownMb, 'MB', READING_MB);

  const victim = cluster.nodes.at(-1);
  await victim.stop();
  await startAgain(victim, 'started after a stop');
  await until('every partition is led', () => cluster.settled(), 60_000);
  await cluster.comesToRest(QUIET_MS_MAX);
  await victim.kill();
  await startAgain(victim, 'started after a kill');
  await until('every partition is led', () => cluster.settled(), 60_000);
  const now = await cluster.memory(QUIET_MS_MAX);
  memoryBelow(figures, cluster, `all of them, ${victim.name} started again`, { now, before: empty, bytes });
  await cluster.stop();
} finally {
  await cluster.killAll();
  await rm(folder, { recursive: true, force: true });
}
figures.finish();
