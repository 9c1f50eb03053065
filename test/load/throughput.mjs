import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { wholeNumber } from '../harness/whole-number.mjs';
import { Broker } from './broker.mjs';
import { Consumer, Ledger, publish, until } from './client.mjs';
import { Figures, MB } from './figures.mjs';

/**
 * Publishers and consumers of one queue side by side: messages a second, and the broker's processor time for the whole
 * life of a message, publish to acknowledgement.
 *
 *   npm run load:throughput -- [--messages N] [--bytes N] [--profile FOLDER]
 */
const options = new Command('npm run load:throughput --')
  .description('publishers and consumers of one queue side by side: messages a second, and processor time of a message')
  .option('--messages <N>', 'how many', wholeNumber(), 400_000)
  .option('--bytes <N>', 'of a payload', wholeNumber(), 256)
  .option('--profile <FOLDER>', 'a profile of each broker process is left there')
  .parse()
  .opts();
const { messages: COUNT, bytes: PAYLOAD_BYTES } = options;
const CONNECTIONS = Number(process.env.SLUICE_LOAD_CONNECTIONS ?? 4);
const WINDOW = Number(process.env.SLUICE_LOAD_WINDOW ?? 500);
const CONSUMERS = 4;
const INFLIGHT = Number(process.env.SLUICE_LOAD_INFLIGHT ?? 500);
const nodeFlags = options.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${options.profile}`];

const folder = await mkdtemp(join(process.env.SLUICE_LOAD_DIR ?? tmpdir(), 'sluice-throughput-'));
const figures = new Figures();
const broker = new Broker(join(folder, 'data'), { nodeFlags });
try {
  await broker.start();
  await broker.createQueue({
    topic_filter: 'load/#',
    dispatch_strategy: 'round_robin',
    is_lastvalue: false,
    local_max_inflight: INFLIGHT,
  });
  const ledger = new Ledger(COUNT);
  const consumers = [];
  for (let i = 0; i < CONSUMERS; i++) {
    const consumer = new Consumer();
    await consumer.subscribe(broker.mqtt, { clientId: `consumer-${i}`, filter: '$q/load/#', ledger });
    consumers.push(consumer);
  }
  const cpuMs = await broker.cpuMs();
  const ownCpu = process.cpuUsage();
  const startedMs = performance.now();
  const load = { topic: 'load/a', payloadBytes: PAYLOAD_BYTES, count: COUNT, connections: CONNECTIONS, window: WINDOW };
  await publish(broker.mqtt, load);
  const publishedMs = performance.now() - startedMs;
  await until('everything consumed', () => ledger.complete, 120_000, 5);
  const seconds = (performance.now() - startedMs) / 1000;
  await new Promise((resolve) => setTimeout(resolve, 200));
  const { user, system } = process.cpuUsage(ownCpu);
  figures.note('messages a second, published to consumed', Math.round(COUNT / seconds));
  figures.note('  published a second', Math.round(COUNT / (publishedMs / 1000)));
  figures.note('broker CPU per message', (((await broker.cpuMs()) - cpuMs) * 1000) / COUNT, 'us');
  figures.note('  generator CPU per message', (user + system) / COUNT, 'us');
  figures.note('latency, median', ledger.quantileMs(0.5), 'ms');
  figures.note('latency, 99 %', ledger.quantileMs(0.99), 'ms');
  figures.note('resident, highest', (await broker.rssPeakBytes()) / MB, 'MB');
  figures.note('bytes written to the disk per message', (await broker.written()).disk / COUNT);
  figures.equal('came twice', ledger.duplicates, 0);
  for (const consumer of consumers) consumer.close();
} finally {
  await broker.stop();
  await rm(folder, { recursive: true, force: true });
}
figures.finish();
