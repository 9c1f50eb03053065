import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { Broker } from './broker.mjs';
import { Consumer, Ledger, publish, until } from './client.mjs';

/**
 * The backlog of `npm run load:backlog` in small: 50,000 messages and 200 MB with buffers made so small that memory which
 * follows the backlog cannot hide in them.
 */
const MB = 1024 * 1024;
const COUNT = 50_000;
const PAYLOAD_BYTES = 4_000;
const BUFFERS = ['--set', 'queues.readCache=2MB', '--set', 'queues.publishBuffer=10MB'];
/** Buffers, and what the garbage collector lets lie; what was published is larger by far. */
const RESIDENT_BYTES_MAX = 140 * MB;
const DISK_BYTES_MAX = 16 * MB;

let folder: string;
let broker: Broker;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-backlog-'));
  broker = await new Broker(join(folder, 'data'), { flags: BUFFERS }).start();
});
afterEach(async () => {
  await broker.stop('SIGKILL');
  await rm(folder, { recursive: true, force: true });
});

async function createQueue(): Promise<void> {
  const queue = { topic_filter: 'load/#', dispatch_strategy: 'round_robin', is_lastvalue: false };
  await broker.createQueue({ ...queue, local_max_inflight: 200 });
}

it('a backlog is on the disk and not in memory; after a crash each message comes once, and the disk is given back', async () => {
  const idleBytes = await broker.rssBytes();
  await createQueue();
  const load = { topic: 'load/a', payloadBytes: PAYLOAD_BYTES, count: COUNT, connections: 4, window: 500 };
  await publish(broker.mqtt, load);
  expect((await broker.rssBytes()) - idleBytes).toBeLessThan(RESIDENT_BYTES_MAX);
  expect((await broker.diskBytes()).log).toBeGreaterThan(COUNT * PAYLOAD_BYTES);

  await broker.stop('SIGKILL');
  await broker.start();
  const ledger = new Ledger(COUNT);
  const consumers: Consumer[] = [];
  for (let i = 0; i < 3; i++) {
    const consumer = new Consumer();
    await consumer.subscribe(broker.mqtt, { clientId: `consumer-${i}`, filter: '$q/load/#', ledger });
    consumers.push(consumer);
  }
  await until('everything consumed', () => ledger.complete, 30_000);
  expect((await broker.rssBytes()) - idleBytes).toBeLessThan(RESIDENT_BYTES_MAX);
  await until('the disk is given back', async () => (await broker.diskBytes()).total < DISK_BYTES_MAX, 20_000);
  expect({ duplicates: ledger.duplicates, foreign: ledger.foreign }).toEqual({ duplicates: 0, foreign: 0 });
  for (const consumer of consumers) consumer.close();
}, 60_000);

it('consumers that read nothing, or never acknowledge, do not fill the memory with images', async () => {
  const idleBytes = await broker.rssBytes();
  await createQueue();
  const count = 1000;
  await publish(broker.mqtt, { topic: 'load/a', payloadBytes: 256 * 1024, count, connections: 2, window: 8 });
  const ledger = new Ledger(count);
  const stuck = new Consumer();
  await stuck.subscribe(broker.mqtt, { clientId: 'stuck', filter: '$q/load/#', ledger });
  stuck.socket.pause();
  const mutes: Consumer[] = [];
  for (let i = 0; i < 3; i++) {
    const mute = new Consumer();
    await mute.subscribe(broker.mqtt, { clientId: `mute-${i}`, filter: '$q/load/#', ledger, acknowledges: false });
    mutes.push(mute);
  }
  // Sixty-four images are the sixteen megabytes that one consumer may hold; everything after that stays on the disk.
  await until('each has what it may hold', () => mutes.every(({ received }) => received >= 64), 20_000);
  expect((await broker.rssBytes()) - idleBytes).toBeLessThan(RESIDENT_BYTES_MAX + mutes.length * 16 * MB);
  expect(mutes.map(({ received }) => received)).toEqual([64, 64, 64]);
  stuck.close();
  for (const mute of mutes) mute.close();
}, 60_000);
