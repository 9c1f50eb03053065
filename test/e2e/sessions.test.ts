import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { MOSQUITTO, PAHO, testWith } from '../harness/left-out.ts';
import { MosquittoSub } from '../harness/mosquitto.ts';
import { PahoClient } from '../harness/paho.ts';
import { type Broker, startBroker } from './support/broker.ts';
import { Client } from './support/client.ts';
import { HandClient } from './support/hand-client.ts';
import { numbered, settled, until } from './support/until.ts';

let broker: Broker;
beforeAll(async () => {
  broker = await startBroker();
});
afterAll(() => broker?.dispose());

async function publishAll(topic: string, texts: readonly string[], qos: 0 | 1 | 2 = 1): Promise<void> {
  const publisher = await Client.connect(broker.mqtt);
  await publisher.publishAll(topic, texts, { qos });
  await publisher.close();
}

/** Comes back, and goes again when it has heard enough. */
async function resumed(clientId: string, count: number, version: 4 | 5 = 5): Promise<string[]> {
  const client = await Client.connect(broker.mqtt, { ...kept(clientId), version });
  await client.texted(count);
  await settled(() => client.received.length);
  const { texts } = client;
  await client.close();
  return texts;
}

const kept = (clientId: string) => ({ clientId, clean: false, sessionExpirySeconds: 600 });

describe.each([4, 5] as const)('a session that is kept, MQTT %d', (version) => {
  const id = (name: string): string => `${name}-${version}`;

  test('has what was published while its client was away, in its order, once', async () => {
    const client = await Client.connect(broker.mqtt, { ...kept(id('away')), version });
    await client.subscribe(`${id('away')}/#`, 1);
    await client.close();
    await publishAll(`${id('away')}/x`, numbered(50));
    expect(await resumed(id('away'), 50, version)).toEqual(numbered(50));
    expect(await resumed(id('away'), 0, version)).toEqual([]);
  });

  test('goes on with what its client did not acknowledge', async () => {
    const worker = await HandClient.connect(broker.mqtt, { ...kept(id('half')), version });
    await worker.subscribe(id('half'));
    await publishAll(id('half'), numbered(6));
    await worker.received(6);
    worker.ack(0);
    worker.ack(3);
    // Answered behind what it has acknowledged.
    await worker.publishQoS1('elsewhere', 'text');
    worker.destroy();
    expect(await resumed(id('half'), 4, version)).toEqual(['2', '3', '5', '6']);
  });
});

test('one that ends with its connection is not what is kept for the next: it begins anew, and says so', async () => {
  const former = await Client.connect(broker.mqtt, { clientId: 'once' });
  await former.subscribe('once', 1);
  const worker = await HandClient.connect(broker.mqtt, kept('once'));
  // Its subscription would have had no messages for a moment, of which nobody could have known.
  expect(worker.sessionPresent).toBe(false);
  await publishAll('once', ['x']);
  worker.destroy();
  expect(await resumed('once', 0)).toEqual([]);
});

test('publishes are acknowledged when they are kept; what nobody wants is said to be so', async () => {
  const client = await Client.connect(broker.mqtt, kept('codes'));
  await client.subscribe('codes/+', 1);
  await client.close();
  const publisher = await HandClient.connect(broker.mqtt);
  expect(await publisher.publishQoS1('codes/x', 'kept')).toBe(0);
  expect(await publisher.publishQoS1('codes/x/y', 'not wanted')).toBe(0x10);
  publisher.destroy();
});

test('at QoS 0 nothing is kept, and a connected client has each message once, whichever way it comes', async () => {
  const client = await Client.connect(broker.mqtt, kept('mixed'));
  await client.subscribe('mixed/one', 1);
  await client.subscribe('mixed/zero', 0);
  await publishAll('mixed/one', ['one'], 1);
  await publishAll('mixed/one', ['none'], 0);
  await publishAll('mixed/zero', ['zero'], 1);
  await client.texted(3);
  expect(await settled(() => client.received.length)).toBe(3);
  expect(client.received.map(({ qos, text }) => [text, qos]).sort()).toEqual([
    ['none', 0],
    ['one', 1],
    ['zero', 0],
  ]);
  await client.close();
  await publishAll('mixed/one', ['kept']);
  await publishAll('mixed/one', ['gone'], 0);
  await publishAll('mixed/zero', ['gone'], 1);
  expect(await resumed('mixed', 1)).toEqual(['kept']);
});

test('where subscriptions overlap each copy has the identifier of its own, also of what waited and after a change', async () => {
  const labelled = ({ received }: Client): string[] =>
    received.map(({ text, properties }) => `${text}:${properties.subscriptionIdentifier ?? 'none'}`).sort();
  const client = await Client.connect(broker.mqtt, kept('labels'));
  await client.subscribe('labels/#', 1, 7);
  await client.subscribe('labels/x', 1, 8);
  await client.subscribe('labels/+', 0, 9);
  await publishAll('labels/x', ['kept']);
  await publishAll('labels/x', ['live'], 0);
  await client.texted(6);
  expect(labelled(client)).toEqual(['kept:7', 'kept:8', 'kept:9', 'live:7', 'live:8', 'live:9']);
  await client.close();
  await publishAll('labels/x', ['away']);
  const again = await Client.connect(broker.mqtt, kept('labels'));
  await again.texted(2);
  await again.subscribe('labels/#', 1, 17);
  await again.subscribe('labels/x', 1);
  await publishAll('labels/x', ['changed']);
  await again.texted(5);
  await settled(() => again.received.length);
  expect(labelled(again)).toEqual(['away:7', 'away:8', 'changed:17', 'changed:9', 'changed:none']);
  await again.close();
});

test('an unsubscription holds over the connection; a clean start ends all of it', async () => {
  const client = await Client.connect(broker.mqtt, kept('left'));
  await client.subscribe('left/a', 1);
  await client.subscribe('left/b', 1);
  await client.unsubscribe('left/a');
  await client.close();
  await publishAll('left/a', ['a']);
  await publishAll('left/b', ['b']);
  expect(await resumed('left', 1)).toEqual(['b']);
  await (await Client.connect(broker.mqtt, { clientId: 'left' })).close();
  await publishAll('left/b', ['gone']);
  expect(await resumed('left', 0)).toEqual([]);
});

test('a session ends when its client stays away for too long', async () => {
  const client = await Client.connect(broker.mqtt, { clientId: 'brief', clean: false, sessionExpirySeconds: 1 });
  await client.subscribe('brief', 1);
  await client.close();
  const publisher = await HandClient.connect(broker.mqtt);
  await until(async () => (await publisher.publishQoS1('brief', 'text')) === 0x10, 'nobody wants it any more');
  publisher.destroy();
  expect(await resumed('brief', 0)).toEqual([]);
});

test('a hundred sessions of one filter have what was published, each of it all', async () => {
  const ids = numbered(100, 'crowd-');
  for (const clientId of ids) {
    const client = await HandClient.connect(broker.mqtt, { clientId, clean: false, version: 4 });
    await client.subscribe('crowd/#');
    client.destroy();
  }
  await publishAll('crowd/x', numbered(3));
  for (const clientId of ids.slice(0, 10)) expect(await resumed(clientId, 3)).toEqual(numbered(3));
});

testWith(PAHO, 'paho is told that its session is there, and gets what it missed', async () => {
  for (const version of [4, 5] as const) {
    const clientId = `paho-${version}`;
    const options = { ...broker.mqtt, clientId, version, clean: false, sessionExpirySeconds: 600 };
    const first = PahoClient.start();
    expect(await first.connect(options)).toEqual({ sessionPresent: false });
    expect(await first.subscribe(`${clientId}/#`, 1)).toBe(1);
    await first.kill();
    await publishAll(`${clientId}/x`, numbered(10));
    const second = PahoClient.start();
    expect(await second.connect(options)).toEqual({ sessionPresent: true });
    expect((await second.received(10)).map(({ text }) => text)).toEqual(numbered(10));
    await second.close();
  }
});

testWith(MOSQUITTO, 'mosquitto_sub -c gets what it missed', async () => {
  const more = ['-c', '-i', 'mosquitto-kept', '-q', '1'];
  const first = await MosquittoSub.start(broker.mqtt, 'mosquitto/#', more);
  await first.stop('SIGKILL');
  await publishAll('mosquitto/x', numbered(10));
  const second = await MosquittoSub.start(broker.mqtt, 'mosquitto/#', more);
  expect((await second.received(10)).map(({ payload }) => payload)).toEqual(numbered(10));
  await second.stop();
});

test('a shared subscription is remembered, and nothing is kept for a group whose members are all away', async () => {
  const member = await Client.connect(broker.mqtt, kept('sharer'));
  await member.subscribe('$share/away/turns', 1);
  await member.close();
  await publishAll('turns', ['missed']);
  const back = await Client.connect(broker.mqtt, kept('sharer'));
  await publishAll('turns', ['live']);
  await back.texted(1);
  await settled(() => back.received.length);
  expect(back.texts).toEqual(['live']);
  await back.close();
});

test('everything of it outlives the broker', async () => {
  const client = await Client.connect(broker.mqtt, kept('survivor'));
  await client.subscribe('survivor/#', 1);
  await client.subscribe('$share/g/shared', 1);
  // More filters than a gateway is told of at once: it knows the last as well as the first.
  const many = Array.from({ length: 500 }, (_, i) => `${i}/${'x'.repeat(200)}`);
  const broad = await Client.connect(broker.mqtt, kept('broad'));
  await broad.subscribeAll(many, 1);
  await broad.close();
  await publishAll('survivor/1', ['before']);
  await client.texted(1);
  await client.close();
  await publishAll('survivor/1', ['missed']);
  await broker.restart('all');
  await publishAll('survivor/2', ['after']);
  expect(await resumed('survivor', 2)).toEqual(['missed', 'after']);
  for (const i of [0, 250, 499]) await publishAll(many[i] as string, [`${i}`]);
  expect(await resumed('broad', 3)).toEqual(['0', '250', '499']);
});
