import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { wholeNumber } from '../harness/whole-number.mjs';
import { addressOf, BrokerCluster } from './broker-cluster.mjs';
import { PacedPublisher, until } from './client.mjs';
import { Figures } from './figures.mjs';

/**
 * How long a publisher gets no answer when the node that leads its queue's partition is killed: on three compact nodes, a
 * publisher at another node sends fifty messages a second, and the leader is killed and started again, many times over.
 * The gap is the longest time between two answers from the kill on.
 *
 *   npm run load:failover -- [--kills N]
 */
const options = new Command('npm run load:failover --')
  .description('how long a publisher gets no answer when the node that leads its queue is killed')
  .option('--kills <N>', 'how often', wholeNumber(), 20)
  .parse()
  .opts();
const KILLS = options.kills;
const INTERVAL_MS = 20;
const MEDIAN_BAR_S = 1.5;
const WORST_BAR_S = 3;
const GAP_MS_MAX = 20_000;

const folder = await mkdtemp(join(process.env.SLUICE_LOAD_DIR ?? tmpdir(), 'sluice-failover-'));
const figures = new Figures();
const cluster = new BrokerCluster(folder);
const quantile = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
const gapsMs = [];
let published = 0;
let skipped = 0;
let homes = 0;

try {
  await cluster.start();
  await until('every partition is led', () => cluster.settled(), 30_000);
  await cluster.createQueue({
    name: 'failover',
    topic_filter: 'failover/#',
    dispatch_strategy: 'round_robin',
    is_lastvalue: false,
  });
  for (let kill = 1; kill <= KILLS; kill++) {
    await until('every node is there, every partition led', () => cluster.settled(), 60_000, 100);
    const publisher = new PacedPublisher();
    const home = cluster.nodes[(kill + homes) % cluster.nodes.length];
    await publisher.start(addressOf(home.mqtt), {
      clientId: `publisher-${kill}`,
      topic: 'failover/a',
      intervalMs: INTERVAL_MS,
    });
    // Asked at the last moment: leadership moves back to a node that came again. Killed is the leader, and never the
    // publisher's own node; while that one leads, the next look decides.
    let leader = home.name;
    const leaderElsewhere = async () => {
      const figures = await cluster.get('/api/v5/message_queues/queues/failover/stats').catch(() => undefined);
      leader = figures?.statistics.partitions[0].leader ?? home.name;
      return leader !== home.name && publisher.acknowledged > 50;
    };
    const isElsewhere = await until('another node leads', leaderElsewhere, 5_000, 100).then(
      () => true,
      () => false,
    );
    if (!isElsewhere) {
      publisher.close();
      skipped++;
      if (skipped > 2 * KILLS) throw new Error('the queue is led by its publisher’s node all the time');
      kill--;
      homes++;
      continue;
    }
    const victim = cluster.nodes.find(({ name }) => name === leader);
    const killedMs = performance.now();
    await victim.kill();
    const answered = publisher.acknowledged;
    await until('it publishes again', () => publisher.answeredSince(killedMs) > 50, GAP_MS_MAX).catch((error) => {
      const { acknowledged, socket } = publisher;
      throw new Error(`kill ${kill}: ${acknowledged} answered in all, connection closed: ${socket.destroyed}`, {
        cause: error,
      });
    });
    const gapMs = publisher.longestGapMs(killedMs);
    gapsMs.push(gapMs);
    published += publisher.acknowledged;
    publisher.close();
    console.log(`  kill ${kill}: ${victim.name}, ${gapMs.toFixed(0)} ms (${answered} answered before)`);
    await victim.start();
  }
  gapsMs.sort((a, b) => a - b);
  figures.note('messages acknowledged', published);
  figures.below(`publish gap after a kill, median of ${KILLS}`, quantile(gapsMs, 0.5) / 1000, 's', MEDIAN_BAR_S);
  figures.note('  best', (gapsMs[0] ?? 0) / 1000, 's');
  figures.below('  worst', (gapsMs.at(-1) ?? 0) / 1000, 's', WORST_BAR_S);
  await cluster.stop();
} finally {
  await cluster.killAll();
  await rm(folder, { recursive: true, force: true });
}
figures.finish();
