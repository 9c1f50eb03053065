import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { LAYOUTS } from '../../deploy/local-cluster.mjs';
import { wholeNumber } from '../harness/whole-number.mjs';
import { addressOf, BrokerCluster, sum } from './broker-cluster.mjs';
import { publish, until, Visitor } from './client.mjs';
import { Figures, MB } from './figures.mjs';

/**
 * Many sessions whose clients are away, in a cluster of three processes: what they hold of memory, how often a message for
 * all of them is stored, what one more CONNECT costs, and how long a node that starts again needs because of them.
 *
 * Half of them subscribe to the same topics; their filter is one, and they are rows. The others have a filter each, as
 * devices with commands of their own: every filter is a stream, resident at its partition's members and known to gateways.
 *
 *   npm run load:sessions -- [--sessions N] [--concurrency N] [--profile FOLDER]
 */
const { values: options } = parseArgs({
  options: {
    sessions: { type: 'string', default: '100000' },
    concurrency: { type: 'string', default: '32' },
    profile: { type: 'string' },
  },
});
const COUNT = wholeNumber(options.sessions, 'sessions');
const CONCURRENCY = wholeNumber(options.concurrency, 'concurrency');
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
const AGAIN_MAX = 10;

/** Of one process, whatever the number of sessions: garbage of a phase, and caches of the storage that fill. */
const PHASE_MB = 64;
/** A session that is a row is nothing in memory. One with a filter of its own is as a queue: each of three nodes is a
 * member of every partition, and a gateway. */
const SHARED_BYTES = 64;
const OWN_BYTES = 6 * 1024;
const CONNECT_MS = 50;
const READY_S = 10;
/** Of the payload, in each of its copies: heads of batches and entries, and what the log keeps beside them. */
const OVERHEAD = 1.05;

const folder = await mkdtemp(join(process.env.SLUICE_LOAD_DIR ?? tmpdir(), 'sluice-sessions-'));
const figures = new Figures();
const cluster = new BrokerCluster(folder, { profileFolder: options.profile });
const quantile = (values, share) => {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
};
const barMb = (bytes) => Math.ceil(PHASE_MB + bytes / MB);
const filterOf = (i) => (i < SHARED ? 'news/+' : `device/${i}/commands/+`);
const nameOf = (i) => `device-${i}`;

/** Memory for sessions above `before`, by process, of which each may take `bytes`. */
async function held(what, before, count, bytes) {
  await cluster.comesToRest(QUIET_MS_MAX);
  const now = await cluster.rssBytes();
  const grown = now.map((resident, i) => resident - before[i]);
  figures.note(`resident with ${what}`, cluster.byNode(now.map((resident) => resident / MB)), 'MB');
  figures.note('  above before, a session, by process', cluster.byNode(grown.map((more) => more / count)), 'bytes');
  figures.below('  above before, in the largest process', Math.max(...grown) / MB, 'MB', barMb(count * bytes));
  return now;
}

/** Who is cut off comes again, as devices do: a store that moves or does not answer has promised nothing. */
async function visitOnce(who) {
  for (let again = 0; ; again++) {
    const visitor = new Visitor();
    try {
      await visitor.come(cluster.balanced, ...who);
      await visitor.go();
      return;
    } catch (cause) {
      visitor.close();
      if (again === AGAIN_MAX) throw cause;
      cutOff++;
    }
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

let cutOff = 0;

const stored = async () => sum(await cluster.metric(/^sluice_sessions_stored\{/));

try {
  await cluster.start(LAYOUTS.compact);
  await until('every partition is led', () => cluster.settled(), 30_000);
  // Fewer at once than there are names: who comes twice at once takes itself over.
  await visit(0, WARM_VISITS, (i) => [`warm-${i % WARM}`, 'warm/+'], Math.min(CONCURRENCY, WARM / 4));
  await cluster.comesToRest(QUIET_MS_MAX);
  const empty = await cluster.rssBytes();
  figures.note(`resident, with ${WARM} sessions`, cluster.byNode(empty.map((bytes) => bytes / MB)), 'MB');

  await visit(0, SHARED);
  const shared = await held(`${SHARED} sessions of one filter`, empty, SHARED, SHARED_BYTES);
  await visit(SHARED, COUNT);
  await held(`${COUNT - SHARED} more, with a filter each`, shared, COUNT - SHARED, OWN_BYTES);
  figures.equal('sessions stored', await stored(), COUNT + WARM);
  figures.note('  visits that were cut off and came again', cutOff);
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
  const again = (await cluster.rssBytes()).at(-1);
  figures.note(`resident of ${victim.name} after its start`, again / MB, 'MB');
  const allowed = SHARED * SHARED_BYTES + (COUNT - SHARED) * OWN_BYTES;
  figures.below('  above empty', (again - empty.at(-1)) / MB, 'MB', barMb(allowed));
  figures.equal('sessions stored', await stored(), COUNT + WARM + ALONE);
  await cluster.stop();
} finally {
  await cluster.killAll();
  await rm(folder, { recursive: true, force: true });
}
figures.finish();
