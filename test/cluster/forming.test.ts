import { afterEach, expect, test } from '@jest/globals';
import type { MqttClient } from 'mqtt';
import { API, connect, until } from '../faults/load.ts';
import { testWith } from '../harness/left-out.ts';
import { mqttEvent } from '../harness/mqtt-event.ts';
import { addressOf } from '../harness/server-process.ts';
import { type ClusterOptions, ClusterUnderTest } from './cluster-under-test.ts';
import { NETWORKS } from './node-networks.ts';

const WAIT_MS = 20_000;
const MESSAGES = 50;

let cluster: ClusterUnderTest | undefined;
let clients: MqttClient[] = [];

afterEach(async () => {
  for (const client of clients) client.end(true);
  clients = [];
  await cluster?.dispose();
  cluster = undefined;
}, 60_000);

async function client(gateway: number): Promise<MqttClient> {
  const { mqtt } = (cluster as ClusterUnderTest).gateways()[gateway] as { mqtt: string };
  const made = connect(`c${clients.length}`, 5, addressOf(mqtt));
  clients.push(made);
  await mqttEvent(made, 'connect');
  return made;
}

/** Every gateway publishes, every other one consumes, and every node tells the same of it. */
async function formAndUse(options: ClusterOptions): Promise<void> {
  cluster = await ClusterUnderTest.start(options);
  const { nodes } = cluster;
  const { body } = await cluster
    .rest(nodes[0]?.name as string)
    .post(API, { topic_filter: 'work/+', is_lastvalue: false });
  expect(body).toMatchObject({ topic_filter: 'work/+' });
  const gateways = cluster.gateways().length;
  for (let from = 0; from < gateways; from++) {
    const consumer = await client((from + 1) % gateways);
    const received: string[] = [];
    consumer.on('message', (_, payload) => received.push(payload.toString()));
    await consumer.subscribeAsync('$q/work/+', { qos: 1 });
    const publisher = await client(from);
    const sent = Array.from({ length: MESSAGES }, (_, n) => `${from}-${n}`);
    await Promise.all(sent.map((text) => publisher.publishAsync('work/a', text, { qos: 1 })));
    await until('all messages', performance.now() + WAIT_MS, async () => received.length >= MESSAGES);
    expect(received).toEqual(sent);
    await consumer.endAsync();
  }
  for (const { name } of nodes) {
    const rest = cluster.rest(name);
    await until(`${name} to tell of an empty queue`, performance.now() + WAIT_MS, async () => {
      const { statistics } = (await rest.get(`${API}/${encodeURIComponent('/work/+')}/stats`)).body as {
        statistics: { published_total: number; depth_messages: number };
      };
      return statistics.published_total === gateways * MESSAGES && statistics.depth_messages === 0;
    });
  }
}

test('three coordinators, three stores, two gateways: published at one gateway, consumed at another', async () => {
  await formAndUse({ layout: 'tiers' });
}, 120_000);

test('three nodes with all roles: published at one, consumed at another', async () => {
  await formAndUse({ layout: 'compact' });
}, 120_000);

testWith(
  NETWORKS,
  'a node that is cut off while all of them start again follows when it is heard',
  async () => {
    cluster = await ClusterUnderTest.start({ layout: 'compact', networks: true });
    const [one, ...others] = cluster.nodes.map(({ name }) => name) as [string, ...string[]];
    await Promise.all(cluster.nodes.map((node) => node.kill()));
    cluster.networks?.cut([one], others);
    const back = Promise.all([one, ...others].map((name) => (cluster as ClusterUnderTest).restart(name)));
    // Two of three are enough for everything but the third.
    await until('the others to agree on leaders', performance.now() + 60_000, async () => {
      const view = await cluster?.view(others[0] as string);
      return view?.partitions.length !== 0 && view?.partitions.every(({ leader }) => leader !== null && leader !== one);
    });
    cluster.networks?.heal();
    await back;
    await cluster.atRest(60_000);
  },
  150_000,
);
