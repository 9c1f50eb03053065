import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { readBackup } from '../../packages/storage/dist/backup-format.js';
import { wholeNumber } from '../harness/whole-number.mjs';
import { BIN, Broker } from './broker.mjs';
import { Consumer, Ledger, publish, until } from './client.mjs';
import { Figures, MB } from './figures.mjs';

/**
 * A backlog of which some is done and some was given back, read into a backup and restored: the same offsets hold the same
 * bytes, the same of them are settled, with the same delivery counts, and what is left comes once, in its order. Compared are
 * the rows and entries of a backup of each cluster, and what a consumer of the restored one gets.
 *
 *   npm run load:backup -- --messages 1000000 --bytes 200
 */
const options = new Command('npm run load:backup --')
  .description('a queue into a backup and back: the same messages; time and memory')
  .option('--messages <N>', 'in the queue', wholeNumber(), 1_000_000)
  .option('--bytes <N>', 'of a payload', wholeNumber(), 200)
  .parse()
  .opts();
const { messages: COUNT, bytes: PAYLOAD_BYTES } = options;
const CONNECTIONS = 4;
const WINDOW = 1000;
/** Of so many that come to the first worker one is not answered. */
const HOLE_EACH = 1000;
const INFLIGHT = 2000;
/** Index, entry, key. What a queue and its producers are besides counts on with a start. */
const TABLES = new Set(['B', 'E', 'K'].map((letter) => letter.charCodeAt(0)));

function sequenceOf(payload) {
  return new DataView(payload.buffer, payload.byteOffset, 8).getFloat64(0, true);
}

/** Answers all but a few of the first half, and notes which. */
class Worker extends Consumer {
  done = new Set();
  #seen = 0;

  packet(packet) {
    if (this.#seen >= COUNT / 2) return;
    if (++this.#seen % HOLE_EACH === 0) return;
    this.done.add(sequenceOf(packet.payload));
    super.packet(packet);
  }

  get isThrough() {
    return this.#seen >= COUNT / 2;
  }
}

/** That what one connection published comes in its order. */
class OrderedLedger extends Ledger {
  disordered = 0;
  #last = new Map();

  note(payload) {
    super.note(payload);
    const sequence = sequenceOf(payload);
    const publisher = Math.floor((sequence * CONNECTIONS) / COUNT);
    if (sequence <= (this.#last.get(publisher) ?? -1)) this.disordered++;
    this.#last.set(publisher, sequence);
  }
}

function sluice(...args) {
  const startedMs = performance.now();
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [BIN, ...args], (error, stdout, stderr) =>
      error === null ? resolve(performance.now() - startedMs) : reject(new Error(stdout + stderr)),
    );
  });
}

/** Of all rows that say where messages are and what is settled, and of all entries. */
async function digestOf(directory) {
  const hash = createHash('sha256');
  const counts = { rows: 0, entries: 0 };
  for (const name of (await readdir(directory)).filter((one) => one.startsWith('partition-')).sort()) {
    for await (const part of readBackup(createReadStream(join(directory, name)), name)) {
      if (part.type === 'rows') {
        for (const { key, value } of part.rows) {
          if (!TABLES.has(key[0])) continue;
          hash.update(`${name} ${key.length} ${value.length}`).update(key).update(value);
          counts.rows++;
        }
      } else if (part.type === 'entries') {
        for (const { index, term, kind, data } of part.entries) {
          hash.update(`${name} ${index} ${term} ${kind} ${data.length}`).update(data);
          counts.entries++;
        }
      }
    }
  }
  return { digest: hash.digest('hex'), ...counts };
}

async function sizeOf(directory) {
  let bytes = 0;
  for (const name of await readdir(directory)) bytes += (await stat(join(directory, name))).size;
  return bytes;
}

const folder = await mkdtemp(join(process.env.SLUICE_LOAD_DIR ?? tmpdir(), 'sluice-backup-'));
const figures = new Figures();
const source = new Broker(join(folder, 'source'));
const restored = new Broker(join(folder, 'restored'));
try {
  await source.start();
  const queue = { topic_filter: 'load/#', is_lastvalue: false, local_max_inflight: INFLIGHT };
  await source.createQueue(queue);
  await publish(source.mqtt, {
    ...{ topic: 'load/a', payloadBytes: PAYLOAD_BYTES, count: COUNT, connections: CONNECTIONS, window: WINDOW },
  });
  figures.note('messages published', COUNT);
  const worker = new Worker();
  await worker.subscribe(source.mqtt, { clientId: 'worker', filter: '$q/load/#', ledger: new Ledger(COUNT) });
  await until('half of it is worked through', () => worker.isThrough, 600_000);
  const left = COUNT - worker.done.size;
  await until('all answers are stored', async () => (await source.depth()) === left, 60_000, 200);
  worker.close();
  figures.note('of them settled, with holes', worker.done.size);

  const [cpuBefore, rssBefore] = [await source.cpuMs(), await source.rssBytes()];
  let rssMax = 0;
  const look = setInterval(async () => {
    rssMax = Math.max(rssMax, await source.rssBytes());
  }, 100);
  const backupMs = await sluice('backup', '--to', join(folder, 'first'), '--url', source.http);
  clearInterval(look);
  figures.note('backup', backupMs / 1000, 's');
  figures.note('  processor time of the broker', ((await source.cpuMs()) - cpuBefore) / 1000, 's');
  figures.below('  resident above before, highest', (rssMax - rssBefore) / MB, 'MB', 300);
  figures.note('  size', (await sizeOf(join(folder, 'first'))) / MB, 'MB');
  await source.stop();

  const data = join(folder, 'restored');
  figures.note('restore', (await sluice('restore', '--from', join(folder, 'first'), '--data', data)) / 1000, 's');
  await restored.start();
  figures.note('  to serving', restored.readyMs / 1000, 's');
  figures.equal('depth of the restored queue', await restored.depth(), left);
  await sluice('backup', '--to', join(folder, 'second'), '--url', restored.http);
  const [one, two] = [await digestOf(join(folder, 'first')), await digestOf(join(folder, 'second'))];
  figures.note('rows of messages, of entries and of keys compared', one.rows);
  figures.note('entries compared', one.entries);
  figures.equal(
    'the same ids, bytes, settlement and delivery counts',
    JSON.stringify(two) === JSON.stringify(one),
    true,
  );

  const ledger = new OrderedLedger(COUNT);
  const consumer = new Consumer();
  await consumer.subscribe(restored.mqtt, { clientId: 'consumer', filter: '$q/load/#', ledger });
  await until('all that was left came', () => ledger.seen >= left, 600_000);
  await until('the queue is empty', async () => (await restored.depth()) === 0, 60_000, 200);
  consumer.close();
  figures.equal('messages that came', ledger.seen, left);
  figures.equal('of them settled before', [...worker.done].filter((sequence) => ledger.has(sequence)).length, 0);
  figures.equal('of them twice', ledger.duplicates, 0);
  figures.equal('out of order', ledger.disordered, 0);
} finally {
  await source.stop();
  await restored.stop();
  await rm(folder, { recursive: true, force: true });
}
figures.finish();
