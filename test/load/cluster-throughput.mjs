import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { wholeNumber } from '../harness/whole-number.mjs';
import { BrokerCluster, sum } from './broker-cluster.mjs';
import { Consumer, Ledger, publish, until } from './client.mjs';
import { Figures, MB } from './figures.mjs';

/**
 * Publishers and consumers of one queue on three compact nodes: what a message costs all nodes together, publish to
 * acknowledgement, and how much work of the kernel it makes. The bars are of processor time, which a busy machine bends
 * less than it bends time.
 *
 *   npm run load:cluster -- [--messages N] [--bytes N] [--balanced] [--profile FOLDER]
 *
 * Clients are spread over the gateways one by one, or go through a balancer (whose cost is the generator's).
 */
const options = new Command('npm run load:cluster --')
  .description('publishers and consumers of one queue on three nodes: what a message costs all of them')
  .option('--messages <N>', 'how many', wholeNumber(), 200_000)
  .option('--bytes <N>', 'of a payload', wholeNumber(), 256)
  .option('--connections <N>', 'of publishers, and as many of consumers', wholeNumber(), 4)
  .option('--window <N>', 'unacknowledged messages of a publisher', wholeNumber(), 500)
  .option('--balanced', 'all clients through one address', false)
  .option('--profile <FOLDER>', 'a profile of each broker process is left there')
  .parse()
  .opts();
const { messages: COUNT, bytes: PAYLOAD_BYTES, connections: CONNECTIONS } = options;
const isImages = PAYLOAD_BYTES >= 64 * 1024;
const WINDOW = isImages ? 16 : options.window;
const INFLIGHT = isImages ? 50 : 500;
/** A tenth of the images would leave most of the code to be compiled in what is counted: small ones go the same way. */
const SMALL_FIRST = isImages ? { payloadBytes: 256, window: 256, count: 20_000 } : undefined;
/** How long the nodes are looked at while nothing comes: what they do by the clock weighs on a message when few come. */
const IDLE_MS = 2000;
/** Of the three nodes together. */
const CPU_US_BAR = isImages ? 2600 : 26;
const WRITTEN_BAR = 1.1;

const folder =
  process.env.SLUICE_LOAD_KEEP ??
  (await mkdtemp(join(process.env.SLUICE_LOAD_DIR ?? tmpdir(), 'sluice-cluster-throughput-')));
const figures = new Figures();
const cluster = new BrokerCluster(folder, {
  profileFolder: options.profile,
  nodeFlags: process.env.SLUICE_LOAD_NODE_FLAGS?.split(' '),
});

const looked = async () => ({
  cpuMs: await cluster.cpuMs(),
  written: await cluster.written(),
  syncs: sum(await cluster.metric(/^sluice_storage_fsync_seconds_count/)),
  appends: sum(await cluster.metric(/^sluice_raft_messages_total/)),
  entryBytes: sum(await cluster.metric(/^sluice_storage_written_bytes_total/)),
});

try {
  await cluster.start();
  await until('every partition is led', () => cluster.settled(), 30_000);
  await cluster.createQueue({
    topic_filter: 'load/#',
    dispatch_strategy: 'round_robin',
    is_lastvalue: false,
    local_max_inflight: INFLIGHT,
  });
  const addresses = options.balanced ? [cluster.balanced] : cluster.gateways;
  const load = { topic: 'load/a', payloadBytes: PAYLOAD_BYTES, connections: CONNECTIONS, window: WINDOW };
  const consumers = [];
  for (let i = 0; i < CONNECTIONS; i++) {
    const consumer = new Consumer();
    const address = addresses[i % addresses.length];
    await consumer.subscribe(address, { clientId: `consumer-${i}`, filter: '$q/load/#' });
    consumers.push(consumer);
  }
  const note = (count) => {
    const ledger = new Ledger(count);
    for (const consumer of consumers) consumer.ledger = ledger;
    return ledger;
  };
  // The first tenth makes connections and machine code, and is not counted.
  const tenth = { ...load, count: Math.round(COUNT / 10) };
  for (const first of SMALL_FIRST === undefined ? [tenth] : [{ ...load, ...SMALL_FIRST }, tenth]) {
    const warmed = note(first.count);
    await publish(addresses, first);
    await until('the first consumed', () => warmed.complete, 60_000, 5);
  }
  const ledger = note(COUNT);
  await new Promise((resolve) => setTimeout(resolve, 500));
  const idleFromMs = sum(await cluster.cpuMs());
  await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
  const idleMs = sum(await cluster.cpuMs()) - idleFromMs;
  if (options.profile !== undefined) cluster.restartProfiles();
  const before = await looked();
  const ownCpu = process.cpuUsage();
  const startedMs = performance.now();
  await publish(addresses, { ...load, count: COUNT });
  await until('everything consumed', () => ledger.complete, 300_000, 5);
  const seconds = (performance.now() - startedMs) / 1000;
  await new Promise((resolve) => setTimeout(resolve, 500));
  const { user, system } = process.cpuUsage(ownCpu);
  const after = await looked();
  const perNode = after.cpuMs.map((ms, i) => ((ms - before.cpuMs[i]) * 1000) / COUNT);
  const moved = (pick) => sum(after.written.map((node, i) => pick(node) - pick(before.written[i])));
  const payload = COUNT * PAYLOAD_BYTES;
  figures.below('CPU per message, three nodes together', sum(perNode), 'us', CPU_US_BAR);
  figures.note('  of each node', perNode.map((us) => us.toFixed(1)).join(' '), 'us');
  figures.note('  of it what they do while nothing comes', (idleMs / IDLE_MS) * 1e6 * (seconds / COUNT), 'us');
  figures.note('  generator CPU per message', (user + system) / COUNT, 'us');
  figures.note('messages a second, published to consumed', Math.round(COUNT / seconds));
  figures.note('latency, median', ledger.quantileMs(0.5), 'ms');
  figures.note('latency, 99 %', ledger.quantileMs(0.99), 'ms');
  const perThousand = (count) => (count * 1000) / COUNT;
  figures.note('syncs per 1,000 messages', perThousand(after.syncs - before.syncs));
  figures.note('Raft messages per 1,000 messages', perThousand(after.appends - before.appends));
  figures.note('write calls per 1,000 messages', perThousand(moved(({ writes }) => writes)));
  figures.note('bytes handed to write calls per payload byte', moved(({ calls }) => calls) / payload);
  const toDisk = moved(({ disk }) => disk) / payload / cluster.nodes.length;
  if (isImages) figures.below('bytes to the disk per payload byte and replica', toDisk, '', WRITTEN_BAR);
  else figures.note('bytes to the disk per payload byte and replica', toDisk);
  figures.note(
    'resident, highest of each node',
    (await cluster.rssPeakBytes()).map((b) => Math.round(b / MB)).join(' '),
    'MB',
  );
  figures.equal('came twice', ledger.duplicates, 0);
  for (const consumer of consumers) consumer.close();
  await cluster.stop();
} finally {
  await cluster.killAll();
  if (process.env.SLUICE_LOAD_KEEP === undefined) await rm(folder, { recursive: true, force: true });
}
figures.finish();
