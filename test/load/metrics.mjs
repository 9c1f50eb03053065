import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import mqtt from 'mqtt';
import { wholeNumber } from '../harness/whole-number.mjs';
import { Broker } from './broker.mjs';
import { Figures, MB } from './figures.mjs';
import { cpuMs } from './node-process.mjs';

/**
 * What scrapers cost a node with many queues that all hold messages: how long a page takes, how much of the processor, and
 * how long everything else waits meanwhile.
 *
 *   npm run load:metrics -- [--queues N] [--scrapes N]
 *
 * Half of the scrapes come after every queue has changed its oldest message, the other half after nothing happened.
 */
const options = new Command('npm run load:metrics --')
  .description('what scrapers cost a node with many queues')
  .option('--queues <N>', 'how many', wholeNumber(), 10_000)
  .option('--scrapes <N>', 'how many', wholeNumber(), 100)
  .parse()
  .opts();
const { queues: COUNT, scrapes: SCRAPES } = options;
const CREATE_LINES = 32;
const PUBLISH_LINES = 8;
/** As often as a scraper asks, in short. */
const PAUSE_MS = 50;

const PAGE_MS = 250;
const DETAIL_MS = 1_000;
/** How often the node is asked for something small while pages are built. */
const PROBE_MS = 5;

const folder = await mkdtemp(join(process.env.SLUICE_LOAD_DIR ?? tmpdir(), 'sluice-metrics-'));
const figures = new Figures();
const broker = new Broker(join(folder, 'data'), { flags: ['--set', `queues.maxCount=${COUNT}`] });
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const quantile = (values, share) => values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) * share)];

async function inLines(lines, count, act) {
  let next = 0;
  const line = async (at) => {
    for (let i = next++; i < count; i = next++) await act(i, at);
  };
  await Promise.all(Array.from({ length: lines }, (_, at) => line(at)));
}

/** A value in each queue, which replaces the one before. */
async function fill(clients) {
  await inLines(PUBLISH_LINES, COUNT, (i, at) => clients[at].publishAsync(`device/${i}/commands`, 'x', { qos: 1 }));
}

/** Pages one after the other: how long each took, and the processor time of all of them together. */
async function scrape(path, times, between) {
  const tookMs = [];
  let bytes = 0;
  let usedMs = 0;
  for (let i = 0; i < times; i++) {
    await between(i);
    const before = await cpuMs(broker.pid);
    const startedMs = performance.now();
    bytes = (await broker.metrics(path)).length;
    tookMs.push(performance.now() - startedMs);
    usedMs += (await cpuMs(broker.pid)) - before;
  }
  return { tookMs, bytes, usedMs: usedMs / times };
}

/** Whoever wants something small of the node waits for the slice of a page that is being built. */
function probe() {
  const waits = [];
  let isOver = false;
  const running = (async () => {
    while (!isOver) {
      const startedMs = performance.now();
      await broker.metrics('/livez');
      waits.push(performance.now() - startedMs);
      await pause(PROBE_MS);
    }
  })();
  return {
    end: async () => {
      isOver = true;
      await running;
      return waits;
    },
  };
}

function say(name, { tookMs, bytes, usedMs }, barMs) {
  figures.note(`${name}, p50`, quantile(tookMs, 0.5), 'ms');
  figures.below(`${name}, p99`, quantile(tookMs, 0.99), 'ms', barMs);
  figures.note('  processor time of the node a page', usedMs, 'ms');
  figures.note('  bytes', bytes / MB, 'MB');
}

try {
  await broker.start();
  await inLines(CREATE_LINES, COUNT, (i) =>
    broker.createQueue({
      name: `device-${i}`,
      topic_filter: `device/${i}/commands`,
      is_lastvalue: true,
      key_expression: 'message.topic',
    }),
  );
  const clients = await Promise.all(
    Array.from({ length: PUBLISH_LINES }, () => mqtt.connectAsync(`mqtt://${broker.mqtt.host}:${broker.mqtt.port}`)),
  );
  await fill(clients);
  const probed = probe();
  const still = await scrape('/metrics', SCRAPES, () => pause(PAUSE_MS));
  say('page, nothing happens', still, PAGE_MS);
  const moved = await scrape('/metrics', Math.ceil(SCRAPES / 10), () => fill(clients));
  say('page, every queue has changed', moved, PAGE_MS);
  const detail = await scrape('/metrics/queues', Math.ceil(SCRAPES / 10), () => pause(PAUSE_MS));
  say(`page of all ${COUNT} queues`, detail, DETAIL_MS);
  const waits = await probed.end();
  figures.note('something small meanwhile, p50', quantile(waits, 0.5), 'ms');
  figures.note('something small meanwhile, p99', quantile(waits, 0.99), 'ms');
  figures.note('something small meanwhile, most', Math.max(...waits), 'ms');
  for (const client of clients) client.end(true);
} finally {
  await broker.stop();
  await rm(folder, { recursive: true, force: true });
}
figures.finish();
