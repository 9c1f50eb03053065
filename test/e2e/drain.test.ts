import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import mqtt, { type IDisconnectPacket } from 'mqtt';
import { type ClusterProcess, ClusterUnderTest, type LayoutName } from '../cluster/cluster-under-test.ts';
import { measureGaps } from '../cluster/gaps.ts';
import { Load, type LoadSpec, within } from '../faults/load.ts';
import { checkHistory } from '../faults/queue-checker.ts';
import type { Address } from '../harness/server-process.ts';
import { isCluster } from './support/broker.ts';
import { until } from './support/until.ts';

const LAYOUT: LayoutName = process.env.SLUICE_E2E === 'tiers' ? 'tiers' : 'compact';
const SEED = 1;
const FLOW_MS_MAX = 30_000;
const DRAIN_MS_MAX = 60_000;
const OTHER_SERVER = [0x9c, 0x9d];
const PACE = { paceMs: 20, bytesMax: 1_000 };

const LOAD: LoadSpec = {
  queues: [
    {
      name: 'jobs/+',
      isLastValue: false,
      takes: within('jobs/'),
      definition: { is_lastvalue: false, dispatch_strategy: 'least_inflight' },
      consumers: [{ version: 5 }, { version: 4 }, { version: 5, workMs: 5 }],
      order: 'consumer',
    },
    {
      name: 'later/+',
      isLastValue: false,
      takes: within('later/'),
      definition: { is_lastvalue: false, dispatch_strategy: 'random', partitions: 4 },
      consumers: [],
      order: 'stored',
    },
  ],
  publishers: [
    { name: 'a', version: 5, qos: 1, topics: ['jobs/a'], ...PACE },
    { name: 'b', version: 4, qos: 1, topics: ['jobs/b'], ...PACE },
    { name: 'c', version: 5, qos: 1, topics: ['jobs/c'], ...PACE },
    { name: 'd', version: 4, qos: 1, topics: ['later/d'], ...PACE },
    { name: 'e', version: 5, qos: 2, topics: ['later/e'], ...PACE },
  ],
};

let cluster: ClusterUnderTest;
let load: Load;
const seen: string[] = [];
/** The longest of a publisher, by drain. */
const refusals: number[] = [];

beforeAll(async () => {
  cluster = await ClusterUnderTest.start({ layout: LAYOUT });
  await Load.createQueues(await cluster.anyRest(), LOAD);
  // Everybody knows the balancer alone.
  load = new Load(balancer(), SEED, LOAD);
  load.start();
}, 120_000);

afterAll(async () => {
  load?.end();
  await cluster?.dispose();
  for (const line of seen) process.stdout.write(`${line}\n`);
});

interface Rebalance {
  under_way: boolean;
  mean_connections: number;
  gateways: { node: string; connections: number; sent: number }[];
}

function balancer(): Address {
  const [only] = cluster.targetOf(2);
  return only as Address;
}

/** Every publisher was acknowledged something more, and the queue gave something more. */
async function flowing(): Promise<void> {
  const { history } = load;
  const publishes = history.published.size;
  const deliveries = history.deliveries.length;
  const heard = (): Set<string | undefined> =>
    new Set(
      [...history.published.values()].slice(publishes).flatMap((one) => (one.outcome === 'ok' ? one.publisher : [])),
    );
  const silent = (): string =>
    [...history.published]
      .filter(([, one]) => one.outcome === 'unknown' && !heard().has(one.publisher))
      .map(
        ([id, { sends, sentAtMs = 0 }]) => `${id}, sent ${sends} times, first ${performance.now() - sentAtMs} ms ago`,
      )
      .join('\n');
  const flows = (): boolean => heard().size === load.publishers && history.deliveries.length > deliveries;
  await until(flows, () => String(cluster.failure(`it does not flow again: ${silent()}`)), FLOW_MS_MAX);
}

/** Stops a node while everything flows, waits until it flows again, and says how long a publisher waited. */
async function stop(node: ClusterProcess): Promise<void> {
  await flowing();
  const { history } = load;
  const fromMs = performance.now();
  // What was in flight at a consumer while leadership moved may come again, also when it comes back.
  history.faults.push({ kind: 'drain', fromMs, toMs: Number.POSITIVE_INFINITY });
  const exit = await node.stop();
  const tookMs = performance.now() - fromMs;
  if (exit.code !== 0) throw cluster.failure(`${node.name} ended with ${JSON.stringify(exit)}`);
  await flowing();
  const { publisherMs } = measureGaps(history, fromMs, fromMs, performance.now());
  const refused = [...history.published.values()].filter(({ outcome }) => outcome === 'fail').length;
  seen.push(
    `${LAYOUT}: ${node.name} drained in ${Math.round(tookMs)} ms, longest wait of a publisher ${Math.round(publisherMs)} ms`,
  );
  refusals.push(refused);
}

async function start(node: ClusterProcess): Promise<void> {
  await cluster.restart(node.name);
  await cluster.atRest(DRAIN_MS_MAX);
  const drain = load.history.faults.at(-1);
  if (drain !== undefined) drain.toMs = performance.now();
}

/** An MQTT client of this very gateway; resolves with what it is told in the end. */
async function witness(node: ClusterProcess): Promise<{ told: Promise<IDisconnectPacket | undefined> }> {
  const [host, port] = node.mqtt.split(':');
  const client = mqtt.connect({ host, port: Number(port), protocolVersion: 5, reconnectPeriod: 0 });
  const told = new Promise<IDisconnectPacket | undefined>((resolve) => {
    client.on('disconnect', resolve);
    client.on('close', () => resolve(undefined));
  });
  await new Promise((resolve, reject) => client.once('connect', resolve).once('error', reject));
  return { told };
}

test('SIGTERM of a gateway: its clients are told where to go, nothing is refused', async () => {
  const node = cluster.gateways()[0] as ClusterProcess;
  const others = cluster.gateways().flatMap(({ name, mqtt: at }) => (name === node.name ? [] : [at]));
  const { told } = await witness(node);
  await stop(node);
  await start(node);
  const packet = await told;
  expect(OTHER_SERVER).toContain(packet?.reasonCode);
  expect(packet?.properties?.serverReference?.split(' ').sort()).toEqual(others.sort());
}, 150_000);

test('connections that stayed elsewhere come back to it when they are asked to spread', async () => {
  const { history } = load;
  const node = cluster.gateways()[0] as ClusterProcess;
  const rest = cluster.rest(node.name);
  const look = async (): Promise<Rebalance> => (await rest.get('/api/v5/cluster/rebalance')).body as Rebalance;
  const here = ({ gateways }: Rebalance): number =>
    gateways.find(({ node: name }) => name === node.name)?.connections ?? 0;
  const all = ({ gateways }: Rebalance): number => gateways.reduce((sum, { connections }) => sum + connections, 0);
  const before = await look();
  expect(here(before)).toBeLessThan(before.mean_connections);
  history.faults.push({ kind: 'drain', fromMs: performance.now(), toMs: Number.POSITIVE_INFINITY });
  let sent = 0;
  let now: Rebalance;
  for (;;) {
    const started = await rest.post('/api/v5/cluster/rebalance', { connections_per_second: 10 });
    expect(started.status).toBe(200);
    now = started.body as Rebalance;
    const isSpread = !now.under_way;
    while (now.under_way) {
      await delay(100);
      now = await look();
    }
    sent += now.gateways.reduce((sum, one) => sum + one.sent, 0);
    // Who was sent away is let in by the balancer's next, which may be the one it came from; and some are on their way.
    // And who comes back between two looks is in the second alone.
    const most = Math.ceil(now.mean_connections * 1.1);
    const areFew = now.gateways.every(({ connections }) => connections <= most);
    if (isSpread && areFew && here(now) > 0 && all(now) >= all(before)) break;
    await flowing();
  }
  await flowing();
  const drain = history.faults.at(-1);
  if (drain !== undefined) drain.toMs = performance.now();
  seen.push(`${LAYOUT}: ${sent} sent away until connections were spread`);
  expect(sent).toBeGreaterThan(0);
}, 100_000);

// Takes a minute: left to the runs on a cluster (npm run e2e:cluster).
if (isCluster()) {
  test('a rolling restart under load: every node in turn, and nothing is lost', async () => {
    for (const node of cluster.nodes) {
      await stop(node);
      await start(node);
    }
  }, 400_000);
}

test('in the end everything is there, in its order', async () => {
  const { history } = load;
  const figures = await load.drain(() => cluster.rest(cluster.gateways()[0]?.name as string), DRAIN_MS_MAX);
  const verdict = checkHistory(history, figures);
  const { publishes, acknowledged, deliveries, duplicates, copies } = verdict;
  seen.push(
    `${LAYOUT}: ${acknowledged} of ${publishes} acknowledged, ${deliveries} deliveries, ${duplicates} twice, ${copies} stored twice`,
  );
  expect(verdict).toMatchObject({
    lost: [],
    invented: [],
    disordered: [],
    repeated: [],
    resurrected: [],
    miscounted: [],
  });
  expect(acknowledged).toBe(publishes);
  expect(Math.max(...refusals)).toBe(0);
}, 100_000);
