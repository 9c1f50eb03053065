import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Broker } from './broker.mjs';
import { Consumer, Ledger, publish, until } from './client.mjs';
import { Figures, MB } from './figures.mjs';

/**
 * A backlog nobody consumes, a crash, and then consumers: memory must not follow the backlog, the restart must not
 * replay it, the first message must come at once, each exactly once, and the disk must be given back.
 *
 *   node test/load/backlog.mjs [messages] [payload bytes]
 */
const COUNT = Number(process.argv[2] ?? 5_000_000);
const PAYLOAD_BYTES = Number(process.argv[3] ?? 200);
const CONNECTIONS = 4;
const WINDOW = Number(process.env.SLUICE_LOAD_WINDOW ?? 1000);
const CONSUMERS = 4;
const GIVEN_BACK_MS_MAX = 30_000;
const GIVEN_BACK_BYTES = 16 * MB;

const folder = await mkdtemp(join(process.env.SLUICE_LOAD_DIR ?? tmpdir(), 'sluice-backlog-'));
const figures = new Figures();
const broker = new Broker(join(folder, 'data'));
try {
  await broker.start();
  await new Promise((resolve) => setTimeout(resolve, 5000));
  const idleBytes = await broker.rssBytes();
  const emptyDisk = await broker.diskBytes();
  figures.note('resident, empty and idle', idleBytes / MB, 'MB');
  await broker.createQueue({
    topic_filter: 'load/#',
    dispatch_strategy: 'round_robin',
    is_lastvalue: false,
    local_max_inflight: 500,
  });

  const publishedMs = performance.now();
  let rssMax = 0;
  await publish(broker.mqtt, {
    topic: 'load/a',
    payloadBytes: PAYLOAD_BYTES,
    count: COUNT,
    connections: CONNECTIONS,
    window: WINDOW,
    onProgress: async () => {
      rssMax = Math.max(rssMax, await broker.rssBytes());
    },
  });
  const publishSeconds = (performance.now() - publishedMs) / 1000;
  figures.note('messages published', COUNT);
  figures.note('published per second', Math.round(COUNT / publishSeconds));
  figures.note('broker CPU per publish', ((await broker.cpuMs()) * 1000) / COUNT, 'us');
  figures.below('resident above empty, highest while publishing', (rssMax - idleBytes) / MB, 'MB', 300);
  figures.below('resident above empty, with the backlog', ((await broker.rssBytes()) - idleBytes) / MB, 'MB', 300);
  const full = await broker.diskBytes();
  figures.note('disk with the backlog', full.total / MB, 'MB');
  figures.note('  of it derived state', full.state / MB, 'MB');

  await broker.stop('SIGKILL');
  await broker.start();
  figures.below('restart after SIGKILL to serving', broker.readyMs / 1000, 's', 10);
  figures.below('resident above empty, after the restart', ((await broker.rssBytes()) - idleBytes) / MB, 'MB', 300);

  const ledger = new Ledger(COUNT);
  const consumers = [];
  const startedMs = performance.now();
  const cpuBefore = await broker.cpuMs();
  for (let i = 0; i < CONSUMERS; i++) {
    const consumer = new Consumer();
    await consumer.subscribe(broker.mqtt, { clientId: `consumer-${i}`, filter: '$q/load/#', ledger });
    consumers.push(consumer);
  }
  rssMax = 0;
  const look = setInterval(async () => {
    rssMax = Math.max(rssMax, await broker.rssBytes());
    if (process.env.SLUICE_LOAD_PROGRESS) {
      const disk = await broker.diskBytes();
      console.error(ledger.seen, (rssMax / MB).toFixed(0), (disk.log / MB).toFixed(0), (disk.state / MB).toFixed(1));
    }
  }, 1000);
  await until('everything consumed', () => ledger.complete, 600_000);
  clearInterval(look);
  const consumeSeconds = (performance.now() - startedMs) / 1000;
  figures.below('first message after SUBSCRIBE', consumers[0].firstMs / 1000, 's', 1);
  figures.note('consumed per second', Math.round(COUNT / consumeSeconds));
  figures.note('broker CPU per delivery', (((await broker.cpuMs()) - cpuBefore) * 1000) / COUNT, 'us');
  figures.below('resident above empty, highest while consuming', (rssMax - idleBytes) / MB, 'MB', 300);

  const drainedMs = performance.now();
  await until(
    'the disk is given back',
    async () => {
      const disk = await broker.diskBytes();
      return disk.total - emptyDisk.total < GIVEN_BACK_BYTES;
    },
    GIVEN_BACK_MS_MAX,
    100,
  ).catch(() => {});
  const left = await broker.diskBytes();
  figures.below('disk above empty after it was consumed', (left.total - emptyDisk.total) / MB, 'MB', 16);
  figures.note('  entry log', left.log / MB, 'MB');
  figures.note('  derived state', left.state / MB, 'MB');
  figures.note('  images', left.images / MB, 'MB');
  figures.below('until it was given back', (performance.now() - drainedMs) / 1000, 's', GIVEN_BACK_MS_MAX / 1000);
  figures.equal('messages that came', ledger.seen, COUNT);
  figures.equal('of them twice', ledger.duplicates, 0);
  figures.equal('never published', ledger.foreign, 0);
  const written = await broker.written();
  figures.note('written while consuming', written.disk / MB, 'MB');
  for (const consumer of consumers) consumer.close();
} finally {
  await broker.stop();
  await rm(folder, { recursive: true, force: true });
}
figures.finish();
