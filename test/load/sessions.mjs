import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { LAYOUTS } from '../../deploy/local-cluster.mjs';
import { wholeNumber } from '../harness/whole-number.mjs';
import { addressOf, BrokerCluster, sum } from './broker-cluster.mjs';
import { publish, until, Visitor } from './client.mjs';
import { Figures, memoryBelow } from './figures.mjs';

/**
 * Many sessions whose clients are away, in a cluster of three processes: what they hold of memory, how often a message for
 * all of them is stored, what one more CONNECT costs, and how long a node that starts again needs because of them.
 *
 * Half of them subscribe to the same topics; their filter is one, and they are rows. The others have a filter each, as
 * devices with commands of their own: every filter is a stream, resident at its partition's members and known to gateways.
 *
 *   npm run load:sessions -- [--sessions N] [--concurrency N] [--profile FOLDER]
 */
const options = new Command('npm run load:sessions --')
  .description('many sessions whose clients are away, on three nodes')
  .option('--sessions <N>', 'how many', wholeNumber(), 100_000)
  .option('--concurrency <N>', 'connections at one time', wholeNumber(), 32)
  .option('--profile <FOLDER>', 'a profile of each broker process is left there')
  .parse()
  .opts();
const { sessions: COUNT, concurrency: CONCURRENCY } = options;
const SHARED = Math.floor(COUNT / 2);
const STEP = 5_000;
const ALONE = 50;
/** What the first visits make of a process is not what the others add. */
const WARM_VISITS = 2_000;
const WARM = 100;
const MESSAGES = 40;
const PAYLOAD_BYTES = 64 * 1024;
const PARTITIONS = 16;
const REPLICAS = 3;
const QUIET_MS_MAX = 60_000;
/** Who is refused waits before it comes again, longer each time, as devices do. */
const AGAIN_MS = 100;
const AGAIN_MS_MAX = 10_000;
/** One that nobody lets in for so long is an outage. */
const OUTAGE_MS = 120_000;

/** A session that is a row is nothing in memory. One with a filter of its own is as a queue: each of three nodes is a
 * member of every partition, and a gateway. */
const SHARED_BYTES = 64;
const OWN_BYTES = 1_536;
const SESSIONS_BYTES = SHARED * SHARED_BYTES + (COUNT - SHARED) * OWN_BYTES;
const CONNECT_MS = 50;
const READY_S = 10;
/** Of the payload, in each of its copies: heads of batches and entries, and what the log keeps beside them. */
const OVERHEAD = 1.05;

const folder = await mkdtemp(join(process.env.SLUICE_LOAD_DIR ?? tmpdir(), 'sluice-sessions-'));
const figures = new Figures();
const cluster = new BrokerCluster(folder, { collects: true, profileFolder: options.profile });
const quantile = (values, share) => {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
};
const filterOf = (i) => (i < SHARED ? 'news/+' : `device/${i}/commands/+`);
const nameOf = (i) => `device-${i}`;

/** What each process holds above one with few sessions; `bytes` is what all of them together may take. */
async function held(what, bytes) {
  const now = await cluster.memory(QUIET_MS_MAX);
  memoryBelow(figures, cluster, what, { now, before: empty, bytes });
  return now;
}

/** Who is cut off comes again, as devices do: a store that moves or does not answer has promised nothing. */
async function visitOnce(who) {
  const startedMs = performance.now();
  for (let waitMs = AGAIN_MS; ; waitMs = Math.min(2 * waitMs, AGAIN_MS_MAX)) {
    const visitor = new Visitor();
    try {
      await visitor.come(cluster.balanced, ...who);
      await visitor.go();
      longestMs = Math.max(longestMs, performance.now() - startedMs);
      return;
    } catch (cause) {
      visitor.close();
      if (performance.now() - startedMs > OUTAGE_MS) throw cause;
      cutOff.set(cause.message, (cutOff.get(cause.message) ?? 0) + 1);
    }
    await new Promise((resolve) => setTimeout(resolve, waitMs * (0.5 + Math.random() / 2)));
  }
}

/** Each comes, subscribes and goes: those from `from` on, below `to`. */
async function visit(from, to, who = (i) => [nameOf(i), filterOf(i)], lines = CONCURRENCY) {
  const startedMs = performance.now();
  const beforeMs = sum(await cluster.cpuMs());
  for (let next = from; next < to; ) {
    const end = Math.min(next + STEP, to);
    const line = async () => {
      while (next < end) {
        await visitOnce(who(next++));
      }
    };
    await Promise.all(Array.from({ length: lines }, line));
    console.log(`  ${end} visits, ${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
  }
  const eachMs = (sum(await cluster.cpuMs()) - beforeMs) / (to - from);
  figures.note('processor time of one that comes, subscribes and goes', eachMs, 'ms');
}

/** At the node itself: whether it serves. */
async function startAgain(victim, after) {
  const startedMs = performance.now();
  await victim.start();
  figures.below(`${after} to ready`, (performance.now() - startedMs) / 1000, 's', READY_S);
  const visitor = new Visitor();
  await until(
    'a kept session is found there',
    async () => {
      await visitor.come(addressOf(victim.mqtt), nameOf(0)).catch(() => {});
      return visitor.isPresent;
    },
    30_000,
  );
  figures.below('  until a kept session is served there', (performance.now() - startedMs) / 1000, 's', READY_S);
  await visitor.go();
}

/** By reason. */
const cutOff = new Map();
let longestMs = 0;
/** Of a cluster with few sessions. */
let empty;

const stored = async () => sum(await cluster.metric(/^sluice_sessions_stored\{/));

try {
  await cluster.start(LAYOUTS.compact);
  await until('every partition is led', () => cluster.settled(), 30_000);
  // Fewer at once than there are names: who comes twice at once takes itself over.
  await visit(0, WARM_VISITS, (i) => [`warm-${i % WARM}`, 'warm/+'], Math.min(CONCURRENCY, WARM / 4));
  empty = await cluster.memory(QUIET_MS_MAX);
  await held(`${WARM} sessions`, 0);

  await visit(0, SHARED);
  await held(`${SHARED} sessions of one filter`, SHARED * SHARED_BYTES);
  await visit(SHARED, COUNT);
  await held(`${COUNT - SHARED} more, with a filter each`, SESSIONS_BYTES);
  figures.equal('sessions stored', await stored(), COUNT + WARM);
  figures.note('  visits that were cut off and came again', sum([...cutOff.values()]));
  for (const [reason, count] of cutOff) figures.note(`    ${reason}`, count);
  figures.note('  the longest visit, however often cut off', longestMs / 1000, 's');
  figures.note('  streams', sum(await cluster.metric(/^sluice_sessions_streams /)));

  const before = await cluster.metric(/^sluice_storage_written_bytes_total/);
  await publish(cluster.gateways, {
    topic: 'news/all',
    payloadBytes: PAYLOAD_BYTES,
    count: MESSAGES,
    connections: 4,
    window: 8,
  });
  const after = await cluster.metric(/^sluice_storage_written_bytes_total/);
  const copies = after.map((bytes, i) => (bytes - before[i]) / (MESSAGES * PAYLOAD_BYTES));
  figures.note(`one message for ${SHARED} sessions: copies on disk, by process`, cluster.byNode(copies, 2));
  figures.below('  copies, all processes', sum(copies), '', PARTITIONS * REPLICAS * OVERHEAD);

  const alone = [];
  for (let i = 0; i < ALONE; i++) {
    const visitor = await new Visitor().come(cluster.balanced, `one-more-${i}`);
    alone.push(visitor.connectMs);
    await visitor.go();
  }
  figures.below('CONNECT of one more, p50', quantile(alone, 0.5), 'ms', CONNECT_MS);
  figures.note('  p99', quantile(alone, 0.99), 'ms');
  const back = await new Visitor().come(cluster.balanced, nameOf(1));
  figures.equal('one that comes back is found', back.isPresent, true);
  await until('what waited for it', () => back.received >= MESSAGES, 30_000);
  figures.equal('  messages that waited for it', back.received, MESSAGES);
  await back.go();

  const victim = cluster.nodes.at(-1);
  await victim.stop();
  await startAgain(victim, 'started after a stop');
  await until('every partition is led', () => cluster.settled(), 60_000);
  await cluster.comesToRest(QUIET_MS_MAX);
  await victim.kill();
  await startAgain(victim, 'started after a kill');
  await until('every partition is led', () => cluster.settled(), 60_000);
  await cluster.comesToRest(QUIET_MS_MAX);
  const again = await held(`all of them, ${victim.name} started again`, SESSIONS_BYTES);
  // Caches are empty there: what is alive is what it must know.
  const own = (again.alive.at(-1) - empty.alive.at(-1)) / (COUNT - SHARED);
  figures.below(`  alive in ${victim.name}, by session with a filter of its own`, own, 'bytes', OWN_BYTES);
  figures.equal('sessions stored', await stored(), COUNT + WARM + ALONE);
  await cluster.stop();
} finally {
  await cluster.killAll();
  await rm(folder, { recursive: true, force: true });
}
figures.finish();
