import { afterAll, beforeAll, expect, test } from '@jest/globals';
import mqtt from 'mqtt';
import { type ClusterProcess, ClusterUnderTest } from '../cluster/cluster-under-test.ts';
import { PAHO, testWith } from '../harness/left-out.ts';
import { PahoClient } from '../harness/paho.ts';
import { type Address, addressOf } from '../harness/server-process.ts';
import { Client } from './support/client.ts';
import { HandClient } from './support/hand-client.ts';
import { parsePage } from './support/prometheus-text.ts';
import { numbered, settled, sorted, until } from './support/until.ts';

let cluster: ClusterUnderTest;
beforeAll(async () => {
  cluster = await ClusterUnderTest.start({ layout: 'compact' });
}, 120_000);
afterAll(() => cluster?.dispose());

function nodeOf(n: number): ClusterProcess {
  return cluster.gateways()[n] as ClusterProcess;
}

const at = (n: number): Address => addressOf(nodeOf(n).mqtt);

const kept = (clientId: string) => ({ clientId, clean: false, sessionExpirySeconds: 600 });

test('a session is found at any gateway, and another connection takes it over', async () => {
  const first = await Client.connect(at(0), kept('wanderer'));
  await first.subscribe('wander/#', 1);
  const publisher = await HandClient.connect(at(2));
  // Acknowledged: it must not be missed, whichever gateway it is published at.
  expect(await publisher.publishQoS1('wander/1', '1')).toBe(0);
  await first.texted(1);
  const second = await Client.connect(at(1), kept('wanderer'));
  await until(() => !first.isConnected, 'the first is put out');
  expect(await publisher.publishQoS1('wander/2', '2')).toBe(0);
  // What the first had acknowledged a moment before may come again: nobody knows it of a connection that is put out.
  await until(() => second.texts.includes('2'), 'the second hears it');
  await second.close();
  expect(await publisher.publishQoS1('wander/3', '3')).toBe(0);
  const third = await Client.connect(at(2), kept('wanderer'));
  await third.texted(1);
  await settled(() => third.received.length);
  expect([first.texts, second.texts.at(-1), third.texts]).toEqual([['1'], '2', ['3']]);
  await third.close();
  publisher.destroy();
});

test('a gateway is killed: its sessions go on at another, and nothing that was acknowledged is missing', async () => {
  const ids = numbered(12, 'orphan-');
  const before: Client[] = [];
  for (const clientId of ids) {
    const client = await Client.connect(at(0), kept(clientId));
    await client.subscribe(`orphan/${clientId}`, 1);
    await client.subscribe('orphan/all', 1);
    before.push(client);
  }
  const publisher = await HandClient.connect(at(1));
  const acknowledged: string[] = [];
  let stops = false;
  const publishing = (async () => {
    for (let n = 1; !stops; n++) {
      const code = await publisher.publishQoS1('orphan/all', `${n}`);
      if (code === 0) acknowledged.push(`${n}`);
      // At the pace of a device.
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  })();
  await until(() => before.every(({ received }) => received.length > 5), 'all of them hear it');
  await nodeOf(0).kill();
  await until(() => before.every(({ isConnected }) => !isConnected), 'their connections end');
  const after: Client[] = [];
  for (const clientId of ids) after.push(await Client.connect(at(2), kept(clientId)));
  await until(() => after.every(({ received }) => received.length > 5), 'all of them hear it again');
  stops = true;
  await publishing;
  for (const [i, client] of after.entries()) {
    const heard = (): Set<string> => new Set([...(before[i] as Client).texts, ...client.texts]);
    await until(
      () => acknowledged.every((text) => heard().has(text)),
      () => `client ${i} has ${heard().size} of ${acknowledged.length}`,
      20_000,
    );
    // In its order, apart from what comes again because its acknowledgement was lost with the gateway.
    expect(client.texts).toEqual(sorted(client.texts));
  }
  await Promise.all(after.map((client) => client.close()));
  publisher.destroy();
  await nodeOf(0).start();
}, 120_000);

/** As the leaders of all partitions say. */
async function connectedSessions(): Promise<number> {
  let count = 0;
  for (const { http, isRunning } of cluster.gateways()) {
    if (!isRunning) continue;
    const page = parsePage(await (await fetch(`http://${http}/metrics`)).text());
    for (const { name, labels, value } of page.samples) {
      if (name === 'sluice_sessions_stored' && labels.state === 'connected') count += value;
    }
  }
  return count;
}

test('packet ids are kept: what was sent and not answered comes again under its own, marked so, at any gateway', async () => {
  // Each partition has a leader, and those of the test before are gone: the only one that counts is this one's.
  await cluster.atRest(60_000);
  await until(async () => (await connectedSessions()) === 0, 'nobody has a session', 30_000);
  const first = await HandClient.connect(at(0), kept('ids'));
  await first.subscribe('ids/#', 2);
  const publisher = await Client.connect(at(2));
  await publisher.publishAll('ids/1', numbered(3), { qos: 1 });
  await publisher.publishAll('ids/2', ['4', '5'], { qos: 2 });
  await first.received(5);
  const sent = new Map(first.deliveries.map(({ text, packet }) => [text, packet.messageId]));
  first.ack(1);
  // Answered behind the acknowledgement.
  await first.publishQoS1('elsewhere', 'text');
  expect(await connectedSessions()).toBe(1);
  first.destroy();
  // What it had been sent is written down when its gateway sees that it is gone: who comes sooner finds the session alone.
  await until(async () => (await connectedSessions()) === 0, 'the store knows that it is gone', 30_000);
  const second = await HandClient.connect(at(1), kept('ids'));
  await second.received(4);
  expect(second.deliveries.map(({ text, packet }) => [text, packet.messageId, packet.qos, packet.dup])).toEqual(
    ['1', '3', '4', '5'].map((text) => [text, sent.get(text), Number(text) > 3 ? 2 : 1, true]),
  );
  second.destroy();
  await publisher.close();
}, 60_000);

/** By text: the packet ids under which it was brought, by whatever filters, and whether each was marked. */
function idsOf({ deliveries }: HandClient): Map<string, { ids: number[]; areMarked: boolean[] }> {
  const byText = new Map<string, { ids: number[]; areMarked: boolean[] }>();
  for (const { text, packet } of deliveries) {
    const { ids, areMarked } = byText.get(text) ?? { ids: [], areMarked: [] };
    const all = [...ids, packet.messageId as number].sort((a, b) => a - b);
    byText.set(text, { ids: all, areMarked: [...areMarked, packet.dup] });
  }
  return byText;
}

test.each([
  { isSeen: false, when: 'before anybody misses it' },
  { isSeen: true, when: 'when the stores have given its sessions up' },
])(
  'a gateway is killed, and its client comes $when: what it had not answered comes under its packet ids, marked so (5.0: [MQTT-4.4.0-1] [MQTT-3.3.1-1] [MQTT-2.2.1-4])',
  async ({ isSeen }) => {
    const clientId = `struck-${isSeen}`;
    const first = await HandClient.connect(at(0), kept(clientId));
    // Two streams, which bring each message twice.
    await first.subscribe(`${clientId}/#`, 1);
    await first.subscribe(`${clientId}/+`, 1);
    const publisher = await HandClient.connect(at(2));
    const publish = async (texts: readonly string[]): Promise<void> => {
      for (const text of texts)
        await until(async () => (await publisher.publishQoS1(`${clientId}/1`, text)) === 0, text);
    };
    await publish(numbered(20));
    await first.received(40);
    const before = await connectedSessions();
    await nodeOf(0).kill();
    await until(() => first.isClosed, 'its connection ends');
    const sent = idsOf(first);
    await publish(['later']);
    if (isSeen) {
      await cluster.atRest(60_000, { balanced: false, absent: [nodeOf(0).name] });
      await until(async () => (await connectedSessions()) < before, 'its session is given up', 60_000);
    }
    const second = await HandClient.connect(at(1), kept(clientId));
    await second.received(42, 30_000);
    const again = idsOf(second);
    for (const text of numbered(20))
      expect([text, again.get(text)]).toEqual([text, { ids: sent.get(text)?.ids, areMarked: [true, true] }]);
    // No id means two messages.
    const all = [...again.values()].flatMap(({ ids }) => ids);
    expect(new Set(all).size).toBe(42);
    // What comes from now on is sent for the first time.
    await publish(['last']);
    await second.received(44);
    expect(idsOf(second).get('last')?.areMarked).toEqual([false, false]);
    second.destroy();
    publisher.destroy();
    await nodeOf(0).start();
    await cluster.atRest(60_000);
  },
  150_000,
);

testWith(
  [PAHO],
  'clients as they are publish and subscribe at QoS 2 while gateways are killed: everything comes once',
  async () => {
    const balanced = addressOf(cluster.balancer);
    const pahoSubscriber = await PahoClient.connect({ ...balanced, clientId: 'once-paho', clean: false });
    expect(await pahoSubscriber.subscribe('once/#', 2)).toBe(2);
    const reconnecting = { reconnectPeriod: 200, connectTimeout: 5_000, clean: false, keepalive: 0 };
    const subscriber = mqtt.connect(`mqtt://${cluster.balancer}`, { ...reconnecting, clientId: 'once-js' });
    const heard: string[] = [];
    subscriber.on('message', (_topic, payload) => heard.push(payload.toString()));
    subscriber.on('error', () => {});
    await new Promise<void>((resolve) => subscriber.once('connect', () => resolve()));
    const [grant] = await subscriber.subscribeAsync('once/#', { qos: 2 });
    expect(grant?.qos).toBe(2);
    const publisher = mqtt.connect(`mqtt://${cluster.balancer}`, {
      ...reconnecting,
      protocolVersion: 5,
      properties: { sessionExpiryInterval: 600 },
      clientId: 'once-publisher',
    });
    publisher.on('error', () => {});
    const pahoPublisher = await PahoClient.connect({ ...balanced, clientId: 'once-paho-publisher', clean: false });
    const wanted: string[] = [];
    let isOver = false;
    let completed = 0;
    const failures: string[] = [];
    const publishing = (async () => {
      for (let n = 1; !isOver; n++) {
        wanted.push(`js-${n}`, `paho-${n}`);
        publisher.publish('once/js', `js-${n}`, { qos: 2 }, (error) => {
          if (error == null) completed++;
          else failures.push(`js-${n}: ${error.message}`);
        });
        pahoPublisher.publishLater('once/paho', `paho-${n}`, { qos: 2 });
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    })();
    for (const n of [0, 1]) {
      await until(() => heard.length >= 20 * (n + 1), 'it goes on', 30_000);
      await nodeOf(n).kill();
      const before = heard.length;
      await until(() => heard.length > before + 5, 'it goes on without that gateway', 30_000);
      await nodeOf(n).start();
      await cluster.atRest(60_000);
    }
    isOver = true;
    await publishing;
    await pahoPublisher.published(wanted.length / 2, 60_000);
    await until(
      () => completed === wanted.length / 2,
      () => `${completed} of ${wanted.length / 2} completed; ${failures}`,
      60_000,
    );
    await until(
      () => heard.length >= wanted.length,
      () => `${heard.length} of ${wanted.length} heard`,
      60_000,
    );
    await pahoSubscriber.received(wanted.length, 60_000);
    await settled(() => heard.length + pahoSubscriber.messages.length);
    const all = sorted(wanted);
    expect(sorted(heard)).toEqual(all);
    expect(sorted(pahoSubscriber.messages.map(({ text }) => text))).toEqual(all);
    await Promise.all([subscriber.endAsync(true), publisher.endAsync(true)]);
    await Promise.all([pahoSubscriber.close(), pahoPublisher.close()]);
  },
  240_000,
);
