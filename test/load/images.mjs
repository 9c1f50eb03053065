import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Broker } from './broker.mjs';
import { Consumer, Ledger, publish, until } from './client.mjs';
import { Figures, MB } from './figures.mjs';

/**
 * A queue of images: what is written to the disk for each byte of payload, and what stays in memory when a consumer
 * stops reading its socket, and when some read and never acknowledge.
 *
 *   node test/load/images.mjs [images]
 */
const PAYLOAD_BYTES = 256 * 1024;
const COUNT = Number(process.argv[2] ?? (2 * 1024 * MB) / PAYLOAD_BYTES);
const CONNECTIONS = 4;
const WINDOW = 32;
/** Publish buffer, read cache and one socket's send buffer, as configured, and what the empty process needs. */
const BUFFERS_MB = 64 + 64 + 1;
/** Chunks, copies and fragments that the garbage collector and the allocator have not given back yet. */
const SLACK_MB = 128;
/** Consumers that never acknowledge, and what each may hold whatever its window. */
const MUTES = 8;
const HELD_MB = 16;
const SETTLE_MS = 3000;

const folder = await mkdtemp(join(process.env.SLUICE_LOAD_DIR ?? tmpdir(), 'sluice-images-'));
const figures = new Figures();
const broker = new Broker(join(folder, 'data'));
const settled = () => new Promise((resolve) => setTimeout(resolve, SETTLE_MS));

async function watched(act) {
  let highest = 0;
  const look = async () => {
    highest = Math.max(highest, await broker.rssBytes());
  };
  const timer = setInterval(look, 100);
  await act();
  await look();
  clearInterval(timer);
  return highest / MB;
}

try {
  await broker.start();
  await settled();
  const idleMb = (await broker.rssBytes()) / MB;
  figures.note('resident, empty and idle', idleMb, 'MB');
  await broker.createQueue({
    topic_filter: 'images/#',
    dispatch_strategy: 'least_inflight',
    is_lastvalue: false,
    local_max_inflight: 100,
  });
  const before = await broker.written();
  const startedMs = performance.now();
  const publishing = await watched(() =>
    publish(broker.mqtt, {
      topic: 'images/a',
      payloadBytes: PAYLOAD_BYTES,
      count: COUNT,
      connections: CONNECTIONS,
      window: WINDOW,
    }),
  );
  const seconds = (performance.now() - startedMs) / 1000;
  const payload = COUNT * PAYLOAD_BYTES;
  figures.note('published', payload / MB, 'MB');
  figures.note('published per second', payload / MB / seconds, 'MB/s');
  await settled();
  const stored = await broker.written();
  figures.below('bytes to the disk per payload byte, published', (stored.disk - before.disk) / payload, '', 1.3);
  figures.note('bytes handed to write calls per payload byte', (stored.calls - before.calls) / payload);
  figures.below('resident above empty, while publishing', publishing - idleMb, 'MB', BUFFERS_MB + SLACK_MB);

  const ledger = new Ledger(COUNT);
  const stuck = new Consumer();
  const stopped = await watched(async () => {
    await stuck.subscribe(broker.mqtt, { clientId: 'stuck', filter: '$q/images/#', ledger });
    stuck.socket.pause();
    await settled();
  });
  figures.below('resident above empty, a consumer reads nothing', stopped - idleMb, 'MB', BUFFERS_MB + SLACK_MB);
  stuck.close();

  const mutes = [];
  const muted = await watched(async () => {
    for (let i = 0; i < MUTES; i++) {
      const mute = new Consumer();
      await mute.subscribe(broker.mqtt, { clientId: `mute-${i}`, filter: '$q/images/#', ledger, acknowledges: false });
      mutes.push(mute);
    }
    await settled();
  });
  const muteBar = BUFFERS_MB + SLACK_MB + MUTES * HELD_MB;
  figures.below(`resident above empty, ${MUTES} consumers never answer`, muted - idleMb, 'MB', muteBar);
  figures.below(
    '  most that one of them holds',
    (Math.max(...mutes.map((m) => m.received)) * PAYLOAD_BYTES) / MB,
    'MB',
    17,
  );
  for (const mute of mutes) mute.close();

  const counted = new Ledger(COUNT);
  const consumers = [];
  const drainedMs = performance.now();
  const draining = await watched(async () => {
    for (let i = 0; i < 4; i++) {
      const consumer = new Consumer();
      await consumer.subscribe(broker.mqtt, { clientId: `consumer-${i}`, filter: '$q/images/#', ledger: counted });
      consumers.push(consumer);
    }
    await until('everything consumed', () => counted.complete, 300_000);
  });
  figures.note('consumed per second', payload / MB / ((performance.now() - drainedMs) / 1000), 'MB/s');
  figures.below('resident above empty, highest while consuming', draining - idleMb, 'MB', BUFFERS_MB + SLACK_MB);
  figures.equal('messages that came twice', counted.duplicates, 0);
  await until('the disk is given back', async () => (await broker.diskBytes()).total < 16 * MB, 30_000).catch(() => {});
  figures.below('disk after it was consumed', (await broker.diskBytes()).total / MB, 'MB', 16);
  const all = await broker.written();
  figures.below('bytes to the disk per payload byte, in all', (all.disk - before.disk) / payload, '', 1.3);
  for (const consumer of consumers) consumer.close();
} finally {
  await broker.stop();
  await rm(folder, { recursive: true, force: true });
}
figures.finish();
