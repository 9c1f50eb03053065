import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { MqttClient } from 'mqtt';
import { API, connect, until } from '../faults/load.ts';
import { MOSQUITTO, PAHO, testWith } from '../harness/left-out.ts';
import { MosquittoSub } from '../harness/mosquitto.ts';
import { mqttEvent } from '../harness/mqtt-event.ts';
import { PahoClient } from '../harness/paho.ts';
import { type Address, addressOf } from '../harness/server-process.ts';
import { subscribing } from '../hostile/broker-under-attack.ts';
import { RawClient } from '../hostile/raw-client.ts';
import { type ClusterProcess, ClusterUnderTest } from './cluster-under-test.ts';

const DRAIN_S = 4;
const WAIT_MS = 20_000;
/** Published before, while and after a node stops. */
const MESSAGES = 120;
const PACE_MS = 10;
/** More than the buffers of both ends of a socket. */
const FLOOD_BYTES = 256 * 1024;
const FLOODS = 40;

let cluster: ClusterUnderTest;
const cleanups: (() => unknown)[] = [];

beforeAll(async () => {
  cluster = await ClusterUnderTest.start({ layout: 'compact', flags: ['--set', `node.drainTimeout=${DRAIN_S}s`] });
  await cluster.rest('node-1').post(API, { topic_filter: 'work', is_lastvalue: false });
}, 120_000);

afterAll(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
  await cluster?.dispose();
}, 60_000);

function balancer(): Address {
  const [only] = cluster.targetOf(2);
  return only as Address;
}

function linesOf({ logFile }: ClusterProcess): { level: string }[] {
  return readFileSync(logFile, 'utf8')
    .split('\n')
    .flatMap((line) => (line.startsWith('{') ? [JSON.parse(line)] : []));
}

function at({ mqtt }: ClusterProcess): Address {
  return addressOf(mqtt);
}

async function client(target: Address, clientId: string): Promise<MqttClient> {
  const made = connect(clientId, 5, target);
  cleanups.push(() => made.end(true));
  await mqttEvent(made, 'connect');
  return made;
}

/** By SIGTERM, with 0: one that waits for a client for ever is killed in the end, or outlasts its test. */
async function stop(node: ClusterProcess): Promise<void> {
  const exit = await node.stop();
  if (exit.code !== 0) throw cluster.failure(`${node.name} ended with ${JSON.stringify(exit)}`);
}

/** Is sent more than its socket holds, and takes nothing of it. */
async function deafClient(target: Address, publisher: MqttClient): Promise<void> {
  const deaf = await RawClient.open(target);
  cleanups.push(() => deaf.destroy());
  await deaf.hello('deaf', 5);
  deaf.send(subscribing(['flood']));
  await deaf.next();
  deaf.stopReading();
  const payload = Buffer.alloc(FLOOD_BYTES);
  for (let n = 0; n < FLOODS; n++) await publisher.publishAsync('flood', payload, { qos: 1 });
}

testWith(
  [MOSQUITTO, PAHO],
  'stock clients go on at another gateway, and every message is had',
  async () => {
    const node = cluster.node('node-1');
    const got = new Set<string>();
    const gateways = cluster.gateways().length;
    const subs = await Promise.all(
      Array.from({ length: gateways }, () => MosquittoSub.start(balancer(), '$q/work', ['-q', '1', '-V', '5'])),
    );
    cleanups.push(...subs.map((sub) => () => sub.stop('SIGKILL')));
    // One of each version at the node that stops, with what it is told in the end.
    const told: PahoClient[] = [];
    for (const version of [4, 5] as const) {
      const paho = await PahoClient.connect({ ...at(node), clientId: `paho-${version}`, version });
      cleanups.push(() => paho.kill());
      await paho.subscribe('$q/work', 1);
      told.push(paho);
    }
    const publisher = await client(balancer(), 'publisher');
    const takes = (): number => {
      for (const sub of subs) for (const { payload } of sub.messages) got.add(payload);
      for (const paho of told) for (const { text } of paho.messages) got.add(text);
      return got.size;
    };
    const acknowledged: Promise<unknown>[] = [];
    let stopped: Promise<void> | undefined;
    for (let n = 0; n < MESSAGES; n++) {
      acknowledged.push(publisher.publishAsync('work', String(n), { qos: 1 }));
      if (n === MESSAGES / 3) stopped = stop(node);
      await new Promise((resolve) => setTimeout(resolve, PACE_MS));
    }
    await stopped;
    await Promise.all(acknowledged);
    await until(
      () => `all of ${MESSAGES}, there are ${takes()}`,
      performance.now() + WAIT_MS,
      async () => takes() === MESSAGES,
    );
    // MQTT 5 is told to use another server; 3.1.1 has no words for it.
    expect([0x9c, 0x9d]).toContain(await (told[1] as PahoClient).disconnected());
    await (told[0] as PahoClient).disconnected();
  },
  90_000,
);

test('the last two: one without a majority, publishes that nobody can acknowledge and a client that never reads', async () => {
  const [, gone, last] = cluster.nodes as [ClusterProcess, ClusterProcess, ClusterProcess];
  const publisher = await client(at(last), 'stuck');
  await deafClient(at(last), publisher);
  await gone.kill();
  let acknowledged = false;
  publisher.publishAsync('work', 'never', { qos: 1 }).then(
    () => {
      acknowledged = true;
    },
    () => {},
  );
  await until('it to wait', performance.now() + WAIT_MS, async () => {
    const { body } = await cluster.rest(last.name).get('/readyz');
    return JSON.stringify(body).includes('lead partition');
  });
  // Not what a coordinator said last, while there was one.
  await until('it to say so in words', performance.now() + WAIT_MS, async () => {
    const { body } = await cluster.rest(last.name).get('/api/v5/cluster');
    const { coordinator, problems } = body as { coordinator: string | null; problems: { message: string }[] };
    const said = problems.map(({ message }) => message).join('\n');
    return coordinator === null && /Nobody leads partitions 1-\d+: .* 2 of 3 copies are on .* not heard of/.test(said);
  });
  await stop(last);
  expect(acknowledged).toBe(false);
  expect(linesOf(last).filter(({ level }) => level === 'error')).toEqual([]);
}, 60_000);
