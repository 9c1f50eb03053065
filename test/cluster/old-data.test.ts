import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import type { MqttClient } from 'mqtt';
import { LocalCluster } from '../../deploy/local-cluster.mjs';
import { API, connect, until } from '../faults/load.ts';
import { mqttEvent } from '../harness/mqtt-event.ts';
import { DIES_WITH_US, endOfLog } from '../harness/node-lifetime.ts';
import { RestClient } from '../harness/rest.ts';
import { type Address, addressOf } from '../harness/server-process.ts';
import type { ClusterProcess, ClusterView } from './cluster-under-test.ts';

/**
 * What one node wrote before there were clusters, by a build of that time: a queue of forty jobs, ten of them done and
 * one given back, and a last-value queue with the third value of two keys. Never made anew: that it can be read is the
 * point.
 */
const ARCHIVE = join(import.meta.dirname, 'golden/one-node.tar.gz');
const ROLES = 'gateway,store,coordinator';
const STORED = Array.from({ length: 30 }, (_, n) => `job ${n + 10}`);
const WAIT_MS = 60_000;
const PACE_MS = 20;

const folder = mkdtempSync(join(tmpdir(), 'sluice-old-data-'));
const clients: MqttClient[] = [];
let cluster: LocalCluster;

afterEach(async () => {
  for (const client of clients.splice(0)) client.end(true);
  await cluster.killAll();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

const nodeOf = (name: string): ClusterProcess => cluster.nodes.get(name) as ClusterProcess;
const restOf = (name: string): RestClient => new RestClient(`http://${nodeOf(name).http}`);

function gateways(): Address[] {
  const running = [...cluster.nodes.values()].filter(({ isRunning }) => isRunning);
  return running.map(({ mqtt }) => addressOf(mqtt));
}

async function client(clientId: string): Promise<MqttClient> {
  const made = connect(clientId, 5, gateways());
  clients.push(made);
  await mqttEvent(made, 'connect');
  return made;
}

async function eventually(what: string, look: () => Promise<boolean>): Promise<void> {
  try {
    await until(what, performance.now() + WAIT_MS, () => look().catch(() => false));
  } catch (cause) {
    const logs = [...cluster.nodes.values()].map(({ name, logFile }) => `--- ${name}\n${endOfLog(logFile)}`);
    throw new Error(`${cause}\n${logs.join('\n')}`, { cause });
  }
}

/** Every partition is led, and kept by so many. */
async function isPlaced(copies: number): Promise<boolean> {
  const { body } = await restOf('node-1').get('/api/v5/cluster');
  const { partitions, problems } = body as ClusterView & { problems: unknown[] };
  return problems.length === 0 && partitions.every(({ replicas }) => replicas.length === copies);
}

test('data of one node from before clusters: it is served, grows to three nodes under load, and outlives the first', async () => {
  const data = join(folder, 'node-1', 'data');
  mkdirSync(data, { recursive: true, mode: 0o700 });
  execFileSync('tar', ['-xzf', ARCHIVE, '-C', data]);
  cluster = new LocalCluster({ directory: folder, prefixOf: () => [...DIES_WITH_US] });
  await cluster.start([{ name: 'node', roles: ROLES, count: 1 }]);
  const { body } = await restOf('node-1').get(`${API}/${encodeURIComponent('/jobs/+')}/stats`);
  expect(body).toMatchObject({
    statistics: { depth_messages: 30, published_total: 40, accepted_total: 10, returned_total: 1 },
  });

  // It goes on as it was: who comes gets what waits, in its order.
  const values: string[] = [];
  const devices = await client('devices');
  devices.on('message', (_, payload) => values.push(payload.toString()));
  await devices.subscribeAsync('$q/desired/+', { qos: 1 });
  await eventually('the last values', async () => values.length === 2);
  expect(values.sort()).toEqual(['x 2', 'y 2']);

  // The way to three, by configuration and one command, with traffic.
  const publisher = await client('publisher');
  let growing = true;
  const sent: string[] = [];
  const publishing = (async () => {
    for (let n = 0; growing; n++) {
      await publisher.publishAsync('jobs/b', `new ${n}`, { qos: 1 });
      sent.push(`new ${n}`);
      await new Promise((resolve) => setTimeout(resolve, PACE_MS));
    }
  })();
  for (const name of ['node-2', 'node-3']) await cluster.add(name, ROLES);
  await eventually('three copies', async () => {
    await restOf('node-1').put('/api/v5/cluster', { replication_factor: 3 });
    return await isPlaced(3);
  });
  growing = false;
  await publishing;

  // Nothing of it is on the old disk alone.
  await nodeOf('node-1').kill();
  // What was under way while leadership moved may be there twice.
  const texts = new Set<string>();
  const worker = await client('worker');
  worker.on('message', (_, payload) => void texts.add(payload.toString()));
  await worker.subscribeAsync('$q/jobs/+', { qos: 1 });
  await eventually('everything', async () => texts.size === STORED.length + sent.length);
  expect([...texts]).toEqual([...STORED, ...sent]);
}, 240_000);
